//! What speculation may cost: hits and misses in, whether the next event is worth a try out.

use super::matching::Tried;

/// Prices tries so that a source whose events are all different costs hardly more than without shapes.
///
/// A unit is about 20 ns, half of what the cheapest failed try costs. A hit earns what it saved; when the credit is gone, events go
/// straight to the careful parser, for longer each time that a new attempt fails too.
#[derive(Clone, Copy)]
pub(super) struct Credit {
    left: i32,
    /// How many events to let pass before the next attempt.
    asleep: u32,
    pause: u32,
}

const FIRST: i32 = 768;
const MOST: i32 = 2048;
/// What an attempt after a pause may spend: about a fiftieth of what the events of the longest pause cost.
const ATTEMPT: i32 = 768;
/// With so much left, attempts pay: the next pause is short again.
const CONFIDENT: i32 = ATTEMPT + MOST / 4;
const SHORTEST_PAUSE: u32 = 64;
const LONGEST_PAUSE: u32 = 8192;
/// What a hit saves.
const HIT: i32 = 12;
/// What it costs to learn a shape, or to look for it among the known.
pub(super) const LEARN: i32 = 12;
pub(super) const LOOK: i32 = 3;
const RELEARN: i32 = 4;

impl Default for Credit {
    fn default() -> Self {
        Self { left: FIRST, asleep: 0, pause: SHORTEST_PAUSE }
    }
}

impl Credit {
    /// Is the next event worth a try? Asked once an event.
    #[inline]
    pub fn is_awake(&mut self) -> bool {
        if self.asleep == 0 {
            return true;
        }
        self.asleep -= 1;
        false
    }

    /// May the event that was just parsed be learned from?
    #[inline]
    pub fn may_learn(&self) -> bool {
        self.asleep == 0
    }

    /// A match. To fill a hole takes about as long as to parse what is in it.
    #[inline]
    pub fn hit(&mut self, holes: usize) {
        self.hits(1, holes);
    }

    /// So many matches, each of so many holes.
    #[inline]
    pub fn hits(&mut self, matches: usize, holes: usize) {
        let one = HIT - (holes / 2).min(HIT as usize) as i32;
        self.left = self.left.saturating_add(one.saturating_mul(i32::try_from(matches).unwrap_or(i32::MAX))).min(MOST);
    }

    /// A try that failed after so many bytes and holes, and after constants that were read as if they were holes. Escapes
    /// and what is not ASCII take longest.
    #[inline]
    pub fn miss(&mut self, bytes: usize, tried: &Tried, holes: usize) {
        let hard: usize = tried.spans[..holes].iter().map(|span| span.hard_bytes()).sum();
        let units = bytes / 256 + 2 * tried.changes.len() + holes / 2 + hard / 8;
        self.spend(2 + i32::try_from(units).unwrap_or(i32::MAX / 2));
    }

    /// A template of so many nodes was changed.
    pub fn relearned(&mut self, nodes: usize) {
        self.spend(RELEARN + (nodes / 32) as i32);
    }

    pub fn spend(&mut self, units: i32) {
        self.left -= units;
        if self.left < 0 {
            self.asleep = self.pause;
            self.pause = (self.pause * 4).min(LONGEST_PAUSE);
            self.left = ATTEMPT;
        } else if self.left > CONFIDENT {
            self.pause = SHORTEST_PAUSE;
        }
    }
}
