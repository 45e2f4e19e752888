//! Decoding for clients that have a parser of their own: which blocks are plain, and that the others come back whole.

use chunkwire::live::framing::Framing;
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
    let (mut live, mut found, mut pending) = (Live::new(4300, false, true, Framing::Lines), Vec::new(), Vec::new());
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

// --- Blocks that end at pairs of line ends ------------------------------------------------------------------------

/// What a client does that looks for pairs: it goes on behind the first byte of each, so pairs may overlap, and it keeps
/// what is behind the last one. The blocks of each read, and what is left in the end.
fn slowly(pieces: &[&[u8]], known: &[&[u8]]) -> (Vec<Vec<u8>>, Vec<u8>) {
    let (mut blocks, mut buffer) = (Vec::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        let mut position = 0;
        for at in 0..buffer.len() {
            if let Some(pair) = known.iter().find(|pair| buffer[at..].starts_with(pair)) {
                blocks.push(buffer.get(position..at).unwrap_or_default().to_vec());
                position = at + pair.len();
            }
        }
        buffer.drain(..position);
    }
    (blocks, buffer)
}

/// All blocks are foreign that hold an unknown field, and so all are seen. (An empty one is only right behind another.)
fn pairs(pieces: &[&[u8]], framing: Framing) -> (Vec<Vec<u8>>, Vec<u8>) {
    let (mut live, mut blocks, mut pending) = (Live::new(4300, false, true, framing), Vec::new(), Vec::new());
    for piece in pieces {
        let from: usize = pending.len();
        pending.extend_from_slice(piece);
        if framing.end(&pending, Framing::resume(from)).is_none() {
            continue;
        }
        let mut at = 0;
        loop {
            let mut builder = Builder::default();
            match live.decode(&pending, &mut at, 9, &mut builder) {
                Step::More => {}
                Step::Starved => break,
                Step::Foreign(whole) => blocks.push(pending[whole].to_vec()),
            }
            assert!(builder.is_empty());
        }
        pending.drain(..at);
    }
    (blocks, pending)
}

const ANY_PAIR: [&[u8]; 8] = [b"\r\n\r\n", b"\r\n\r", b"\r\n\n", b"\r\r\n", b"\n\r\n", b"\r\r", b"\n\r", b"\n\n"];
const SAME_PAIR: [&[u8]; 3] = [b"\r\n\r\n", b"\n\n", b"\r\r"];

#[test]
fn blocks_end_at_pairs_as_clients_find_them() {
    // Every text of up to seven of these, whole and cut at every place.
    for length in 1..8u32 {
        for number in 0..3usize.pow(length) {
            let text: Vec<u8> = (0..length).map(|at| b"\r\nx"[number / 3usize.pow(at) % 3]).collect();
            for cut in 0..text.len() {
                let pieces = [&text[..cut], &text[cut..]];
                for (framing, known) in [(Framing::AnyPair, &ANY_PAIR[..]), (Framing::SamePair, &SAME_PAIR[..])] {
                    let (blocks, rest) = slowly(&pieces, known);
                    let (found, left) = pairs(&pieces, framing);
                    assert_eq!(left, rest, "{text:?} {cut} {framing:?}");
                    let told = |blocks: &[Vec<u8>]| -> Vec<Vec<u8>> {
                        blocks.iter().filter(|block| block.contains(&b'x')).cloned().collect()
                    };
                    assert_eq!(told(&found), told(&blocks), "{text:?} {cut} {framing:?}");
                }
            }
        }
    }
}

#[test]
fn what_is_nothing_is_told_behind_what_is_foreign() {
    let found = |text: &[u8]| pairs(&[text], Framing::SamePair).0;
    assert_eq!(found(b": c\n\nx\n\n"), [b"x"]);
    assert_eq!(found(b"x\n\n: c\n\n"), [&b"x"[..], b": c"]);
    assert_eq!(found(b"x\n\n\n"), [&b"x"[..], b""]);
    assert_eq!(found(b"x\n\n\n\n"), [&b"x"[..], b"", b""]);
    assert_eq!(found(b"x\r\n\r\n"), [b"x"]);
    assert_eq!(pairs(&[b"x\n\n", b"\n: c\n\n"], Framing::SamePair).0, [b"x"]);
}

#[test]
fn depth_is_that_of_brackets_outside_of_texts() {
    use chunkwire::live::framing::is_deep;
    let nested = |levels: usize| [vec![b'['; levels], vec![b']'; levels]].concat();
    assert!(!is_deep(&nested(64)));
    assert!(is_deep(&nested(65)));
    assert!(!is_deep(&b"[]".repeat(100)));
    assert!(!is_deep(&[b"\"", &b"[".repeat(100)[..], b"\\\"[\""].concat()));
}
