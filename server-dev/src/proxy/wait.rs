//! Which process a request goes to, and how long it waits for one.

use std::time::Duration;

use hot_reload::Snapshot;
use tokio::time::{Instant, timeout_at};

use super::{Doing, Proxy, Site, Upstream, site::Version, unanswered::Unanswered};

/// How long a process that refuses a connection is left alone; it may have ended, of which its runner
/// hears at once.
const CONNECT_PAUSE: Duration = Duration::from_millis(20);

/// What a request comes to, as things are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Serve,
    Wait,
    /// Nobody serves before a change.
    Down,
}

/// Decides for a request which the process `refused` has not taken.
fn verdict(site: &Site, refused: Option<&Upstream>) -> Verdict {
    match &site.upstream {
        Some(upstream) if refused != Some(upstream) => Verdict::Serve,
        None if site.doing == Doing::Nothing => Verdict::Down,
        _ => Verdict::Wait,
    }
}

impl Proxy {
    /// Waits for a process that is ready, for as long as one may come; `refused` is tried again only
    /// after a while. Where only a change helps, a person who waits for a page is told so at once, and a program
    /// once the change that it may have made would be seen.
    pub(super) async fn ready(
        &self,
        refused: Option<&Upstream>,
        until: Instant,
        is_page: bool,
    ) -> Result<(Upstream, Version), Unanswered> {
        let is_decided = |site: &Snapshot<Site>| match verdict(site, refused) {
            Verdict::Serve => true,
            Verdict::Down => is_page,
            Verdict::Wait => false,
        };
        let site = if let Some(site) = self.site.snapshot().filter(is_decided) {
            site
        } else {
            let Ok(_place) = self.waiting.try_acquire() else { return Err(Unanswered::Crowd) };
            let unseen = if is_page { Duration::ZERO } else { self.unseen };
            let decided = self.decided(refused, until, Instant::now() + unseen);
            self.over.run_until_cancelled(decided).await.ok_or(Unanswered::Over)??
        };
        match &site.upstream {
            Some(upstream) => Ok((upstream.clone(), site.version)),
            None if self.over.is_cancelled() => Err(Unanswered::Over),
            None => Err(Unanswered::Down(site.doing, site.problem.clone().map(Box::new))),
        }
    }

    /// Waits until it is decided; that only a change helps, not before `seen`.
    async fn decided(
        &self,
        refused: Option<&Upstream>,
        until: Instant,
        seen: Instant,
    ) -> Result<Snapshot<Site>, Unanswered> {
        let is_down = |site: &Site| verdict(site, None) == Verdict::Down;
        let mut following = self.site.clone();
        loop {
            let site = self.found(refused, until).await?;
            let seen = seen.min(until);
            let is_up = following.wait_for(|site| !is_down(site));
            if !is_down(&site) || timeout_at(seen, is_up).await.is_err() {
                return Ok(site);
            }
        }
    }

    /// Waits until there is something else to do than to wait.
    async fn found(
        &self,
        refused: Option<&Upstream>,
        until: Instant,
    ) -> Result<Snapshot<Site>, Unanswered> {
        let mut site = self.site.clone();
        let mut wait = async |refused: Option<&Upstream>, until| {
            let is_decided = |site: &Site| verdict(site, refused) != Verdict::Wait;
            timeout_at(until, site.wait_for(is_decided)).await
        };
        let again = Instant::now() + CONNECT_PAUSE;
        let found = match refused {
            Some(_) if again < until => match wait(refused, again).await {
                // It may take it by now.
                Err(_elapsed) => wait(None, until).await,
                found => found,
            },
            _ => wait(refused, until).await,
        };
        match found {
            Ok(Ok(site)) => Ok(site),
            // The service of the value ends with the runner.
            Ok(Err(_ended)) => Err(Unanswered::Over),
            Err(_elapsed) => {
                let doing = self.site.get().unwrap_or_default().doing;
                Err(Unanswered::Late(self.patience, doing))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_goes_to_what_is_ready_and_waits_for_what_may_be() {
        let upstream = || Upstream::new(([127, 0, 0, 1], 1).into());
        let (one, other) = (upstream(), upstream());
        let site = |upstream: Option<&Upstream>, doing| Site {
            upstream: upstream.cloned(),
            doing,
            ..Site::default()
        };
        for (site, refused, want) in [
            (site(Some(&one), Doing::Nothing), None, Verdict::Serve),
            (site(Some(&one), Doing::Building), Some(&other), Verdict::Serve),
            (site(Some(&one), Doing::Nothing), Some(&one), Verdict::Wait),
            (site(None, Doing::Nothing), None, Verdict::Down),
            (site(None, Doing::Nothing), Some(&one), Verdict::Down),
            (site(None, Doing::NotBegun), None, Verdict::Wait),
            (site(None, Doing::Building), None, Verdict::Wait),
            (site(None, Doing::Starting), None, Verdict::Wait),
            (site(None, Doing::Backoff), Some(&one), Verdict::Wait),
        ] {
            assert_eq!(verdict(&site, refused), want, "{site:?} {refused:?}");
        }
    }
}
