//! A service, before it runs and while it does.

use std::{sync::Arc, time::Duration};

use hot_reload::ReloaderReceiver;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Given, checked};
use crate::{
    config::Service,
    failure::Failure,
    over::Over,
    proxy::{Behind, Fronted, Publisher, Site},
    runner::Runner,
    sockets::Sockets,
    spec::SocketKind,
    tree::Tree,
};

/// A service that runs.
pub(super) struct Live {
    pub(super) service: Service,
    /// They stay open for the one that takes its place.
    pub(super) sockets: Sockets,
    site: Publisher,
    pub(super) proxy: Option<LiveProxy>,
    over: Over,
    /// Cancelled once nothing of it is left.
    pub(super) gone: CancellationToken,
}

/// A proxy that answers, for one service after the other as long as what it is told is the same.
#[derive(Clone)]
pub(super) struct LiveProxy {
    found: ReloaderReceiver<Site, String>,
    pub(super) over: CancellationToken,
    /// It ends once the last of these is dropped.
    used: Arc<DropGuard>,
}

/// A service of which nothing can be refused any more.
pub(super) struct Opened {
    pub(super) name: String,
    pub(super) live: Live,
    pub(super) runner: Runner,
    /// One that is new, and when it ends.
    pub(super) proxy: Option<(Fronted, CancellationToken)>,
    /// Cancelled once those are gone that have to be before it starts.
    pub(super) after: Vec<CancellationToken>,
}

impl Opened {
    /// Opens what a service needs; what is open already for the one before it stays so, and what others have
    /// no use for any more is `spare`.
    pub(super) fn prepare(
        given: &Given,
        name: String,
        service: Service,
        before: Option<&Live>,
        spare: &mut Sockets,
    ) -> Result<Self, Failure> {
        let Given { report, notify, asked, input, guarded, file, over, hurry } = given;
        let filter = checked(&name, &service)?.without(file.as_deref());
        let tree = Tree::new(filter, *service.settle, service.poll.map(Duration::from));
        let mut kept = match before {
            Some(before) => before.sockets.again()?.split(&service.sockets).0,
            None => Sockets::default(),
        };
        kept.append(spare.again()?);
        let sockets = Sockets::reopen(&service.sockets, &mut kept)?;
        let site = before.map(|before| before.site.clone()).unwrap_or_default();
        let mut passed_on = sockets.again()?;
        let front = service.proxy.and_then(|_| passed_on.take_front());
        let (mut behind, mut proxy, mut new) = (None, None, None);
        if let Some(front) = front {
            let same = before.filter(|before| answers_alike(&before.service, &service));
            if let Some(same) = same.and_then(|before| before.proxy.clone()) {
                behind = Some(Behind { front, found: same.found.clone() });
                proxy = Some(same);
            } else {
                let (over, ended) = (over.child_token(), CancellationToken::new());
                let (fronted, is_behind) =
                    Fronted::put_before(&name, &service, front, &site, &over)?;
                let (found, used) = (is_behind.found.clone(), Arc::new(ended.clone().drop_guard()));
                behind = Some(is_behind);
                proxy = Some(LiveProxy { found, over, used });
                new = Some((fronted, ended));
            }
        }
        let live_over = Over::with(over);
        let runner = Runner {
            name: name.clone(),
            service: service.clone(),
            sockets: passed_on,
            behind,
            site: site.clone(),
            tree,
            notify: notify.clone(),
            report: Arc::clone(report),
            asked: asked.resubscribe(),
            input: input.clone(),
            over: live_over.clone(),
            hurry: hurry.clone(),
            guarded: guarded.of_another(),
        };
        *spare = kept;
        let gone = CancellationToken::new();
        let live = Live { service, sockets, site, proxy, over: live_over, gone };
        Ok(Self { name, live, runner, proxy: new, after: Vec::new() })
    }
}

impl Live {
    /// Has it end for good, and its proxy as well.
    pub(super) fn end(&self) {
        self.over.removed();
        self.end_proxy(None);
    }

    /// Has it end because another takes its place, and its proxy as well, unless that goes on for the next.
    pub(super) fn end_for(&self, next: Option<&LiveProxy>) {
        self.over.edited();
        self.end_proxy(next);
    }

    fn end_proxy(&self, next: Option<&LiveProxy>) {
        let is_next =
            |proxy: &LiveProxy| next.is_some_and(|next| Arc::ptr_eq(&next.used, &proxy.used));
        if let Some(proxy) = self.proxy.as_ref().filter(|proxy| !is_next(proxy)) {
            proxy.over.cancel();
        }
    }
}

/// Whether the proxy of one does for the other.
fn answers_alike(one: &Service, other: &Service) -> bool {
    let told = |service: &Service| {
        let front = service.sockets.iter().find(|spec| spec.kind == SocketKind::Http).cloned();
        let times = (service.proxy_wait, service.settle);
        (service.proxy.is_some(), front, times, service.allow_hosts.clone())
    };
    told(one) == told(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ProxyMode, Words};

    /// Of a longer `settle` the proxy once knew nothing, and answered before an edit could be seen.
    #[test]
    fn a_proxy_goes_on_while_what_it_is_told_is_the_same() {
        type Edit = fn(&mut Service);
        let cases: [(Edit, bool); 8] = [
            (|_| {}, true),
            (|it| it.proxy = Some(ProxyMode::Socket), true),
            (|it| it.command = Words::parse("other").unwrap(), true),
            (|it| it.settle = "2s".parse().unwrap(), false),
            (|it| it.proxy_wait = "2s".parse().unwrap(), false),
            (|it| it.allow_hosts.push("example.com".to_owned()), false),
            (|it| it.sockets = vec!["http::3001".parse().unwrap()], false),
            (|it| it.proxy = None, false),
        ];
        for (at, (edit, want)) in cases.into_iter().enumerate() {
            let mut one = Service::of(Words::parse("server").unwrap());
            one.proxy = Some(ProxyMode::Port);
            one.sockets = vec!["http::3000".parse().unwrap()];
            let mut other = one.clone();
            edit(&mut other);
            assert_eq!(answers_alike(&one, &other), want, "case {at}");
        }
    }
}
