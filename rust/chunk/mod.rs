//! The chunk room: an event's data in, its structure and the places of its scalars out.
//!
//! [`parse`] is the careful parser, [`Doc`] and [`Value`] read what it leaves behind.

mod doc;
mod keys;
mod parse;
mod scan;
mod text;

pub use doc::{Doc, Items, MAX_NODES, Members, Node, Type, Value};
pub use keys::Key;
pub use parse::{KeySet, MAX_DEPTH, parse};
