//! The chunk room: an event's data in, its structure and the places of its scalars out.
//!
//! [`parse`] is the careful parser, which reads an event as if it had never seen one like it; [`shape`] matches an
//! event against those that came before; [`Doc`] and [`Value`] read what either leaves behind.

mod doc;
mod keys;
mod parse;
mod scan;
pub mod shape;
mod text;
mod token;

pub(crate) use doc::integer;
pub use doc::{Doc, Items, MAX_NODES, Members, Node, Type, Value};
#[cfg(feature = "python")]
pub(crate) use keys::KEY_COUNT;
pub use keys::Key;
pub use parse::{KeySet, MAX_DEPTH, parse};
pub(crate) use scan::plain_run;
pub(crate) use text::{escape, escape_length, push_code};
pub(crate) use token::{Number, number};
