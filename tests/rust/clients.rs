//! Events by clients' rules: the readers beside slow twins that take whole lines and blocks, on a table of edges and on
//! generated streams, in every split.

mod support;

use chunkwire::event::{HttpxSse, SseClient};
use proptest::prelude::*;
use support::{all_cuts, by, cases, cut_at, cuts, recorded, with_line_ends};

/// Type, data, id, and whether only a retry could make it an event, with the retries.
type Sent = (Vec<u8>, Vec<u8>, Vec<u8>, bool, Vec<Vec<u8>>);

fn httpx_sse(pieces: &[&[u8]]) -> Vec<Sent> {
    let mut reader = HttpxSse::default();
    let mut found = Vec::new();
    for piece in pieces {
        let mut at = 0;
        while let Some(event) = reader.next(piece, &mut at) {
            let fields = (event.event.to_vec(), event.data.to_vec(), event.id.to_vec());
            found.push((fields.0, fields.1, fields.2, event.needs_retry, event.retries.to_vec()));
        }
        assert_eq!(at, piece.len());
    }
    found
}

/// Lines of the whole source, each with a line end behind it.
fn ended_lines(source: &[u8]) -> Vec<Vec<u8>> {
    let mut lines = vec![Vec::new()];
    let mut bytes = source.iter().peekable();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'\n' => lines.push(Vec::new()),
            b'\r' => {
                bytes.next_if(|&&next| next == b'\n');
                lines.push(Vec::new());
            }
            _ => lines.last_mut().unwrap().push(byte),
        }
    }
    lines.pop();
    lines
}

fn named(line: &[u8]) -> (&[u8], &[u8]) {
    let mut parts = line.splitn(2, |&byte| byte == b':');
    let (name, value) = (parts.next().unwrap(), parts.next().unwrap_or_default());
    (name, if value.first() == Some(&b' ') { &value[1..] } else { value })
}

fn httpx_sse_twin(source: &[u8]) -> Vec<Sent> {
    let (mut found, mut id) = (Vec::new(), Vec::new());
    let (mut event, mut data, mut retries) = (Vec::new(), Vec::new(), Vec::new());
    for line in ended_lines(source) {
        if line.is_empty() {
            let is_sure = !event.is_empty() || !data.is_empty() || !id.is_empty();
            if is_sure || !retries.is_empty() {
                found.push((event, data.join(&b'\n'), id.clone(), !is_sure, retries));
            }
            (event, data, retries) = (Vec::new(), Vec::new(), Vec::new());
            continue;
        }
        let (name, value) = named(&line);
        match name {
            b"event" => event = value.to_vec(),
            b"data" => data.push(value.to_vec()),
            b"id" if !value.contains(&0) => id = value.to_vec(),
            b"retry" => retries.push(value.to_vec()),
            _ => {}
        }
    }
    found
}

/// What a block of sseclient-py's holds, or the line that is no UTF-8.
type Read = Result<Option<(String, String, Option<String>, Option<String>)>, Vec<u8>>;

fn read(block: &[u8]) -> Read {
    let event = SseClient::read(block).map_err(<[u8]>::to_vec)?;
    Ok(event
        .map(|event| (event.event.into(), event.data.into(), event.id.map(Into::into), event.retry.map(Into::into))))
}

fn sseclient(pieces: &[&[u8]]) -> Vec<Read> {
    let mut reader = SseClient::default();
    let mut found = Vec::new();
    for piece in pieces {
        let mut at = 0;
        while let Some(block) = reader.next(piece, &mut at) {
            found.push(read(block));
        }
        assert_eq!(at, piece.len());
    }
    found.extend(reader.finish().map(read));
    assert!(reader.take_rest().is_empty());
    found
}

fn sseclient_twin(pieces: &[&[u8]]) -> Vec<Read> {
    let (mut blocks, mut block) = (Vec::new(), Vec::new());
    for piece in pieces {
        // A line with its end at a time, as far as this piece has it.
        for (at, byte) in piece.iter().enumerate() {
            block.push(*byte);
            let is_cr_of_crlf = *byte == b'\r' && piece.get(at + 1) == Some(&b'\n');
            let ends: [&[u8]; 3] = [b"\r\r", b"\n\n", b"\r\n\r\n"];
            if !is_cr_of_crlf && ends.iter().any(|end| block.ends_with(end)) {
                blocks.push(std::mem::take(&mut block));
            }
        }
    }
    if !block.is_empty() {
        blocks.push(block);
    }
    blocks.iter().map(|block| read_twin(block)).collect()
}

fn read_twin(block: &[u8]) -> Read {
    let (mut event, mut data, mut id, mut retry) = (String::new(), Vec::new(), None, None);
    let mut lines = ended_lines(block);
    if !block.ends_with(b"\n") && !block.ends_with(b"\r") {
        lines.extend(ended_lines(&[block, b"\n"].concat()).pop());
    }
    for line in lines {
        let Ok(text) = std::str::from_utf8(&line) else { return Err(line) };
        let (name, value) = named(text.as_bytes());
        let value = String::from_utf8(value.to_vec()).unwrap();
        match name {
            b"event" => event = value,
            b"data" => data.push(value),
            b"id" => id = Some(value),
            b"retry" => retry = Some(value),
            _ => {}
        }
    }
    Ok((!data.is_empty()).then(|| (event, data.join("\n"), id, retry)))
}

fn check(source: &[u8], pieces: &[&[u8]]) {
    assert_eq!(httpx_sse(pieces), httpx_sse_twin(source), "{:?} in {pieces:?}", String::from_utf8_lossy(source));
    assert_eq!(sseclient(pieces), sseclient_twin(pieces), "{pieces:?}");
}

/// Source, how many events httpx-sse's rules make of it (with what only a retry could make one), and how many blocks
/// sseclient-py's.
const CASES: &[(&[u8], usize, usize)] = &[
    (b"", 0, 0),
    (b"data: x\n\n", 1, 1),
    (b"data: x\n\ndata: y\n\n", 2, 2),
    (b"data:x\r\n\r\ndata:  y\r\rdata\n\n", 3, 3),
    (b"data: x\r\n\ndata: y\n\r\ndata: z\r\r\ndata: 1\n\rdata: 2\r\n\rdata: 3\n\n", 6, 2),
    (b"data: x\r\r\n\ndata: y\n\n\n\ndata: z", 2, 4),
    (b"\xef\xbb\xbfdata: x\n\n: c\n\nid: 1\n\n\n\n", 3, 4),
    (b"id: 1\0\nevent: e\n\nretry: x\n\nretry: 1\nretry: y\nfoo: z\n\n", 3, 3),
    (b"data: a\ndata\ndata:b\n: c\nid: 1\nid\n\ndata: \xff\n\ndata: y\n\n", 3, 3),
    (b"event: e\r\rdata: x\r", 1, 2),
];

#[test]
fn the_table_equals_the_twins_in_every_split() {
    for (source, events, blocks) in CASES {
        assert_eq!(httpx_sse(&[source]).len(), *events, "{:?}", String::from_utf8_lossy(source));
        assert_eq!(sseclient(&[source]).len(), *blocks, "{:?}", String::from_utf8_lossy(source));
        for pieces in all_cuts(source) {
            check(source, &pieces);
        }
    }
}

proptest! {
    #![proptest_config(cases(3000))]

    #[test]
    fn any_few_parts_equal_the_twins(
        parts in prop::collection::vec(
            prop::sample::select(&["data", ":", ": ", "\r", "\r\n", "\n", "\n\n", "id", "event", "retry", "x", "é", "\0"][..]),
            0..30,
        ),
        cuts in cuts(),
    ) {
        let source = parts.concat().into_bytes();
        for pieces in [vec![&source[..]], by(&source, 1), by(&source, 3), cut_at(&source, &cuts)] {
            check(&source, &pieces);
        }
    }

    #[test]
    fn any_few_bytes_equal_the_twins(
        source in prop::collection::vec(prop::sample::select(&b"data:: \r\r\n\n\nidx0\0\xef\xbb\xbf\xff"[..]), 0..40),
        cuts in cuts(),
    ) {
        for pieces in [vec![&source[..]], by(&source, 1), cut_at(&source, &cuts)] {
            check(&source, &pieces);
        }
    }
}

#[test]
fn recorded_streams_equal_the_twins() {
    for (_, source) in recorded() {
        for source in with_line_ends(&source) {
            for pieces in [vec![&source[..]], by(&source, 61), by(&source, 1400)] {
                check(&source, &pieces);
            }
        }
    }
}
