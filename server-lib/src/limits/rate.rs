//! How many requests are answered in a time.

use std::{
    net::IpAddr,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use governor::{
    Quota,
    clock::{Clock, MonotonicClock},
    state::keyed::HashMapStateStore,
};

use super::clients;
use crate::config::{RateLimit, RatePer};

/// Below it, forgetting is not worth the look: so many take less than 100 KB.
const FEW: usize = 1024;

/// Counts requests by who sends them.
#[derive(Debug)]
pub(crate) struct Rate {
    limit: RateLimit,
    limiter: governor::RateLimiter<Key, HashMapStateStore<Key>, MonotonicClock>,
    /// Requests until those are forgotten who have been quiet for long enough.
    until_forgetting: AtomicUsize,
}

/// Who is counted as one; without an address, all of them.
type Key = Option<IpAddr>;

impl Rate {
    pub(crate) fn new(limit: RateLimit) -> Self {
        let per_second = limit.requests_per_second;
        let quota = Quota::per_second(per_second).allow_burst(limit.burst.unwrap_or(per_second));
        let limiter = governor::RateLimiter::hashmap_with_clock(quota, MonotonicClock);
        Self { limit, limiter, until_forgetting: AtomicUsize::new(FEW) }
    }

    pub(crate) fn limit(&self) -> &RateLimit {
        &self.limit
    }

    /// Counts one request; when it is too many, says how long to wait.
    pub(crate) fn admit(&self, client: Option<IpAddr>) -> Result<(), Duration> {
        self.forget_now_and_then();
        let key = match self.limit.per {
            RatePer::Client => client.map(clients::one),
            RatePer::Server => None,
        };
        let checked = self.limiter.check_key(&key);
        checked.map_err(|until| until.wait_time_from(MonotonicClock.now()))
    }

    /// Forgets those who may send a whole burst again, so that memory is for the others alone.
    ///
    /// Once for as many requests as there are clients to look at: each request pays for one.
    fn forget_now_and_then(&self) {
        // It guards nothing: whoever is the one to find 0 forgets.
        if self.until_forgetting.fetch_sub(1, Ordering::Relaxed) == 0 {
            self.limiter.retain_recent();
            self.until_forgetting.store(FEW.max(self.limiter.len()), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn rate(requests_per_second: u32, per: RatePer) -> Rate {
        let requests_per_second = NonZeroU32::new(requests_per_second).unwrap();
        Rate::new(RateLimit { requests_per_second, burst: NonZeroU32::new(2), per })
    }

    fn at(address: &str) -> IpAddr {
        address.parse().unwrap()
    }

    #[test]
    fn counts_each_client_alone_or_all_together() {
        let each = rate(1, RatePer::Client);
        for address in ["127.0.0.1", "127.0.0.2", "::ffff:127.0.0.3", "2001:db8::1"] {
            assert_eq!(each.admit(Some(at(address))), Ok(()));
            assert_eq!(each.admit(Some(at(address))), Ok(()));
            let wait = each.admit(Some(at(address))).unwrap_err();
            assert!(wait > Duration::ZERO && wait <= Duration::from_secs(1), "{wait:?}");
        }
        assert!(each.admit(Some(at("127.0.0.3"))).is_err(), "the same mapped into IPv6");
        assert!(each.admit(Some(at("2001:db8::2"))).is_err(), "the same network");
        assert_eq!(each.admit(Some(at("2001:db8:0:1::1"))), Ok(()));

        let all = rate(1, RatePer::Server);
        assert_eq!(all.admit(Some(at("127.0.0.1"))), Ok(()));
        assert_eq!(all.admit(None), Ok(()));
        assert!(all.admit(Some(at("127.0.0.2"))).is_err());
    }

    #[test]
    fn forgets_those_who_are_quiet() {
        let rate = rate(1_000_000, RatePer::Client);
        for n in 0..100_000 {
            assert_eq!(rate.admit(Some(IpAddr::from(u32::to_be_bytes(n)))), Ok(()));
        }
        assert!(rate.limiter.len() < 50_000, "{}", rate.limiter.len());
    }
}
