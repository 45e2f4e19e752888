//! Decoding for clients that have a parser of their own: which blocks are plain, and that the others come back whole.

use chunkwire::live::{Live, Step, ends_block};
use chunkwire::record::{Builder, Item};

/// What a stream holds, in order: the text of a plain event, or a block that is foreign.
#[derive(Debug, PartialEq)]
enum Found {
    Plain(String),
    Foreign(String),
}
use Found::{Foreign, Plain};

/// Feeds the pieces as a client does: what is left of one stands before the next.
fn feed<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Found>, Vec<u8>) {
    let (mut live, mut found, mut pending) = (Live::new(4300, false, true), Vec::new(), Vec::new());
    for piece in pieces {
        pending.extend_from_slice(piece);
        let mut at = 0;
        loop {
            let mut builder = Builder::default();
            let step = live.decode(&pending, &mut at, 2, &mut builder);
            let batch = builder.build(&pending[..]);
            for item in batch.items() {
                let Item::Chunk(record) = item else { panic!("what is live has chunks alone") };
                found.push(Plain(String::from_utf8(batch.doc(record).text().to_vec()).unwrap()));
            }
            match step {
                Step::More => {}
                Step::Starved => break,
                Step::Foreign(whole) => found.push(Foreign(String::from_utf8_lossy(&pending[whole]).into_owned())),
            }
        }
        pending.drain(..at);
    }
    (found, pending)
}

const STREAM: &str = ": hi\n\ndata: {\"choices\":[],\"id\":\"a\"}\n\ndata:{\"choices\":[],\"id\":\"b\"}\r\n\r\nevent: x\ndata: {}\n\n\
    data: {\"choices\":[],\"id\":\"c\"}\r\rdata: [DONE]\n\ndata: {\"error\":1}\n\ndata: {\"error\":null}\n\nid: 1\n\n: ping\n\n\
    id:\n\n: ping\n\ndata: {}\ndata: {}\n\ndata: [1]\n\nevent: thread.x\ndata: {}\n\ndata: {\"choices\":[]}\n\ndata: {\"cho";

fn expected() -> Vec<Found> {
    let plain = |text: &str| Plain(text.to_owned());
    let foreign = |text: &str| Foreign(text.to_owned());
    vec![
        plain("{\"choices\":[],\"id\":\"a\"}"),
        plain("{\"choices\":[],\"id\":\"b\"}"),
        plain("{}"),
        plain("{\"choices\":[],\"id\":\"c\"}"),
        foreign("data: [DONE]\n\n"),
        foreign("data: {\"error\":1}\n\n"),
        plain("{\"error\":null}"),
        foreign("id: 1\n\n"),
        foreign(": ping\n\n"),
        foreign("id:\n\n"),
        foreign("data: {}\ndata: {}\n\n"),
        foreign("data: [1]\n\n"),
        foreign("event: thread.x\ndata: {}\n\n"),
        plain("{\"choices\":[]}"),
    ]
}

#[test]
fn every_cut_gives_the_same() {
    let bytes = STREAM.as_bytes();
    let whole = feed([bytes].into_iter());
    assert_eq!(whole, (expected(), b"data: {\"cho".to_vec()));
    for size in 1..bytes.len() {
        assert_eq!(feed(bytes.chunks(size)), whole, "in pieces of {size}");
        assert_eq!(feed([&bytes[..size], &bytes[size..]].into_iter()), whole, "cut at {size}");
    }
}

#[test]
fn a_shape_does_not_hide_an_error() {
    let stream = "data: {\"choices\":[],\"error\":\"\"}\n\n".repeat(20) + "data: {\"choices\":[],\"error\":\"x\"}\n\n";
    let (found, _) = feed([stream.as_bytes()].into_iter());
    assert_eq!(found.len(), 21);
    assert_eq!(found[20], Foreign("data: {\"choices\":[],\"error\":\"x\"}\n\n".to_owned()));
}

#[test]
fn the_end_of_a_block_is_seen_as_soon_as_it_comes() {
    for stream in ["data: a\n\n", "data: a\r\n\r", "data: a\r\r", "a\nb\r\nc\n\r"] {
        let bytes = stream.as_bytes();
        let (mut line, mut ends) = (0, Vec::new());
        for at in 0..bytes.len() {
            if ends_block(&bytes[..=at], &mut line, at) {
                ends.push(at + 1);
                break;
            }
        }
        assert_eq!(ends, [bytes.len()], "{stream:?}");
    }
}
