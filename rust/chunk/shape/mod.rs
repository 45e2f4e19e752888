//! Shapes: an event that is built like an earlier one in, where its values stand out, without parsing it.
//!
//! Events of a stream differ in a scalar or two. A *shape* is the structure of an event that the careful parser has
//! read, compiled into a [`Template`]: literals that have to come again byte by byte, and *holes* where scalars were seen
//! to change. [`Shapes`] keeps the shapes of a source, guesses which comes next, and matches; whatever does not match
//! goes to the careful parser, from which a new shape is learned. A match only ever says yes to what the careful parser
//! would accept, with the same result: `matching` says why.
//!
//! Where many events of one shape follow one another, as in most streams, [`Steady`] takes them in turn, and those who only
//! count chunks count them at the speed of the comparison.
//!
//! Which constants become holes is the question of learning. A hole costs a few nanoseconds an event, a constant that
//! changes a few hundred at each change: so a scalar that changes again soon is a hole, and one that changes once a
//! stream stays a constant that is replaced. Every so often a shape forgets its holes, since the log may have changed.

mod credit;
mod guess;
mod hash;
mod matching;
mod retired;
mod steady;
mod store;
mod template;

pub use matching::{Around, Counted};
pub use steady::Steady;
pub use store::{Course, Matched, Shapes};
pub use template::{Plain, Span, Template};
