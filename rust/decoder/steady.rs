//! The fastest way of the decoder: many events that are alike, from the input straight to the sink.
//!
//! What each of them would change in the decoder and in the shapes is noted once for all. The first that is not like
//! those before ends it, and goes the way of all events.

use super::{Shaped, Sink, behind_event};
use crate::chunk::shape::{Around, Shapes, Steady};
use crate::error::Place;

/// The events behind the last one.
pub(super) struct Followers<'a> {
    pub input: &'a [u8],
    /// What stood around the last one.
    pub around: Around<'a>,
    /// The most bytes of an event, from the beginning of its line.
    pub max_event_bytes: usize,
    /// Take no more.
    pub most: usize,
}

impl Followers<'_> {
    /// Takes those that are like the last one, from `at` on, until the sink is full. Moves `at` and `place` behind them,
    /// and gives their number.
    // (A function of its own: in it the compiler finds registers for all.)
    #[inline(never)]
    pub fn take<S: Sink>(self, shapes: &mut Shapes, at: &mut usize, place: &mut Place, sink: &mut S) -> usize {
        let Some(mut steady) = shapes.steady() else { return 0 };
        let Self { input, around: Around { opening, .. }, most, .. } = self;
        let taken = if steady.can_count() && sink.counts(steady.template()) {
            self.count(&mut steady, at, place, sink)
        } else {
            self.tell(&mut steady, at, place, sink)
        };
        steady.end(taken, taken < most && input[*at..].starts_with(opening));
        taken
    }

    /// Tells the sink how many there are, and the last.
    #[inline(always)]
    fn count<S: Sink>(self, steady: &mut Steady<'_>, at: &mut usize, place: &mut Place, sink: &mut S) -> usize {
        let Self { input, around, max_event_bytes, most } = self;
        let counted = steady.count(input, *at, most.min(steady.most()), around, max_event_bytes);
        let start = counted.last + around.opening.len();
        // Nobody wrote down yet what fills the last one's holes.
        let Some(end) = (counted.events > 0).then(|| steady.next(input, start)).flatten() else { return 0 };
        *place = place.behind(counted.events as u64 - 1, counted.last - *at);
        let (template, spans) = (steady.template(), steady.spans());
        let last = Shaped { place: *place, text: &input[start..end], at: Some(start), template, spans };
        sink.repeated(counted.events as u64, last);
        *place = place.behind(1, counted.behind - counted.last);
        *at = counted.behind;
        counted.events
    }

    /// Tells the sink of each.
    #[inline(always)]
    fn tell<S: Sink>(self, steady: &mut Steady<'_>, at: &mut usize, place: &mut Place, sink: &mut S) -> usize {
        let Self { input, around: Around { opening, .. }, max_event_bytes, most } = self;
        let (mut taken, most) = (0, most.min(steady.most()));
        while taken < most && input[*at..].starts_with(opening) {
            let start = *at + opening.len();
            let Some(end) = steady.next(input, start).filter(|end| end - *at <= max_event_bytes) else { break };
            let Some(behind) = behind_event(input, end) else { break };
            let (template, spans) = (steady.template(), steady.spans());
            sink.shaped(Shaped { place: *place, text: &input[start..end], at: Some(start), template, spans });
            *place = place.behind(1, behind - *at);
            *at = behind;
            taken += 1;
            if sink.is_full() {
                break;
            }
        }
        taken
    }
}
