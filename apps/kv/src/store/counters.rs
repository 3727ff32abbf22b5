//! What is counted, by the names that memcached's `stats` gives it.

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// Events since the start, or since `stats reset`.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Counters {
            $($(#[doc = $doc])+ pub $name: u64,)+
        }

        impl Counters {
            /// Adds another core's.
            pub fn add(&mut self, other: &Counters) {
                $(self.$name += other.$name;)+
            }

            /// All of them by name.
            pub fn each(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name)),+].into_iter()
            }
        }
    };
}

counters! {
    /// Keys asked for.
    cmd_get,
    /// Items received to be stored.
    cmd_set,
    /// `flush_all`.
    cmd_flush,
    /// `touch`, `gat` and the like.
    cmd_touch,
    /// Meta commands.
    cmd_meta,
    /// Keys found by `get`.
    get_hits,
    /// Keys not found.
    get_misses,
    /// Keys found expired.
    get_expired,
    /// Keys found flushed.
    get_flushed,
    /// Deletes of what was not there.
    delete_misses,
    /// Deletes.
    delete_hits,
    /// `incr` of what was not there.
    incr_misses,
    /// `incr`.
    incr_hits,
    /// `decr` of what was not there.
    decr_misses,
    /// `decr`.
    decr_hits,
    /// `cas` of what was not there.
    cas_misses,
    /// `cas` that stored.
    cas_hits,
    /// `cas` of an item that had changed.
    cas_badval,
    /// Touches of what was there.
    touch_hits,
    /// Touches of what was not.
    touch_misses,
    /// Items refused for their size.
    store_too_large,
    /// Items refused for want of memory.
    store_no_memory,
    /// Items stored.
    total_items,
    /// Items that had to go before their time.
    evictions,
    /// Those of them that nobody had asked for.
    evicted_unfetched,
    /// Those of them that had been asked for lately.
    evicted_active,
    /// Expired items found at requests.
    reclaimed,
    /// Expired items that nobody had asked for.
    expired_unfetched,
    /// Expired items found by the crawler.
    crawler_reclaimed,
    /// Items that the crawler looked at.
    crawler_items_checked,
}
