//! What a file's pages held before, for blocks that go stale.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::content::{Content, Page};

/// Pages of a file whose earlier content is kept for sure; it may be up to twice as many.
const PAGES: usize = 512;

/// By page, what it held before the sync that last changed it; `None` is zeros.
///
/// Of pages changed long ago it is forgotten. Clones share everything until one changes.
#[derive(Clone, Debug, Default)]
pub struct History {
    recent: Arc<BTreeMap<u64, Option<Page>>>,
    /// What was `recent` before that was full.
    older: Arc<BTreeMap<u64, Option<Page>>>,
}

impl History {
    /// What a page held before; nothing if that is not known.
    pub fn before(&self, page: u64) -> Option<Option<&Page>> {
        self.recent.get(&page).or_else(|| self.older.get(&page)).map(Option::as_ref)
    }

    /// The pages of which something is known, in order.
    pub fn pages(&self) -> Vec<u64> {
        let mut pages: Vec<u64> = self.recent.keys().chain(self.older.keys()).copied().collect();
        pages.sort_unstable();
        pages.dedup();
        pages
    }

    /// Takes note of what some pages held, as far as `now` is different.
    pub fn note(&mut self, before: BTreeMap<u64, Option<Page>>, now: &Content) {
        for (page, before) in before {
            // One that was written with what it held already keeps its older, more interesting past.
            if now.page(page) == before.as_ref() {
                continue;
            }
            if self.recent.len() == PAGES {
                self.older = std::mem::take(&mut self.recent);
            }
            Arc::make_mut(&mut self.recent).insert(page, before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::content::PAGE;
    use super::*;

    #[test]
    fn it_keeps_the_newest_and_stays_small() {
        let mut history = History::default();
        let mut content = Content::default();
        for page in 0..10 * PAGES as u64 {
            let before = BTreeMap::from([(page, content.page(page).cloned())]);
            content.write(page * PAGE, b"x");
            history.note(before, &content);
            assert!(history.pages().len() <= 2 * PAGES);
            for known in (page + 1).saturating_sub(PAGES as u64)..=page {
                assert_eq!(history.before(known), Some(None));
            }
        }
    }

    #[test]
    fn a_page_that_changes_often_is_what_it_was_last() {
        let mut history = History::default();
        let mut content = Content::default();
        // So many others between two changes of the first page that the notes of it are in both halves.
        for round in 0..5_u64 {
            let last = content.page(0).cloned();
            let changed = [0].into_iter().chain(1 + round * PAGES as u64..=(round + 1) * PAGES as u64);
            for page in changed {
                let before = BTreeMap::from([(page, content.page(page).cloned())]);
                content.write(page * PAGE, &[round as u8 + 1]);
                history.note(before, &content);
                assert_eq!(history.before(0), Some(last.as_ref()));
            }
        }
    }
}
