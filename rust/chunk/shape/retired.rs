//! Templates that may serve again: those that a shape gave up in, memory for its next one out.

use std::collections::VecDeque;
use std::sync::Arc;

use super::template::Template;

/// Templates that were given up because records point to them. When those are gone, their memory serves again: without
/// that a new template costs more in allocations than in all else.
#[derive(Default)]
pub(super) struct Retired(VecDeque<Arc<Template>>);

impl Retired {
    /// How many are kept: those of the records of a few batches.
    const MOST: usize = 32;
    /// Larger ones are not.
    const LARGEST: usize = 1 << 13;

    /// The template for changes; if records point to it, then a copy of it takes its place.
    pub fn own<'a>(&mut self, template: &'a mut Arc<Template>) -> &'a mut Template {
        if Arc::get_mut(template).is_none() {
            let copy = self.copy(template);
            let before = std::mem::replace(template, copy);
            if before.memory() <= Self::LARGEST {
                self.0.truncate(Self::MOST - 1);
                self.0.push_front(before);
            }
        }
        Arc::get_mut(template).expect("nobody else has it")
    }

    /// How many templates wait.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    fn copy(&mut self, template: &Template) -> Arc<Template> {
        if let Some(mut oldest) = self.0.pop_back() {
            if let Some(free) = Arc::get_mut(&mut oldest) {
                free.copy(template);
                return oldest;
            }
            self.0.push_back(oldest);
        }
        Arc::new(template.copied())
    }
}
