//! The event room: bytes in any pieces in, server-sent events out.
//!
//! The rules are those of the WHATWG HTML standard, section "Interpreting an event stream"; what is added is where
//! each event stands, how many bytes of the source went where, and a limit on an event's size. `clients` has the rules of
//! two clients' parsers, for who wants what those would give.

mod clients;
mod framer;
mod lossy;

pub use clients::{HttpxSse, HttpxSseEvent, SseClient, SseClientEvent};
pub use framer::{Counts, Data, Frame, FrameKind, Framer, TAR, ZIP};
pub use lossy::{Decoded, decode_utf8};
