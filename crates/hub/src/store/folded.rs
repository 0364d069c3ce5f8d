//! Folded runs in memory, so that an event costs one step and not the whole history: all that are open, and those that were
//! read last of the others.

use std::{collections::HashMap, num::NonZeroUsize, sync::Arc};

use lru::LruCache;

use super::RunRecord;

/// How many runs that are over are kept.
///
/// Unwrap safety: 64 is not 0; the compiler sees it.
const OVER: NonZeroUsize = NonZeroUsize::new(64).unwrap();

/// The runs, by identifier.
#[derive(Debug)]
pub(super) struct Folded {
    open: HashMap<String, Arc<RunRecord>>,
    over: LruCache<String, Arc<RunRecord>>,
}

impl Default for Folded {
    fn default() -> Self {
        Self { open: HashMap::new(), over: LruCache::new(OVER) }
    }
}

impl Folded {
    /// A run as it was when it was kept.
    pub(super) fn get(&mut self, id: &str) -> Option<Arc<RunRecord>> {
        self.open.get(id).or_else(|| self.over.get(id)).cloned()
    }

    /// Keeps a run, unless a later version of it is here.
    pub(super) fn keep(&mut self, record: &Arc<RunRecord>) {
        let id = &record.row.id;
        if self.get(id).is_some_and(|kept| kept.row.version > record.row.version) {
            return;
        }
        if record.run.state.is_final() {
            self.open.remove(id);
            self.over.put(id.clone(), record.clone());
        } else {
            self.open.insert(id.clone(), record.clone());
        }
    }
}
