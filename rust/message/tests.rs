//! The short way is gone: a long stream is folded in full for a few of its chunks only, and gives the same.

use super::{Completions, Folded, Ready, USUAL_ROWS};
use crate::decoder::{Decoder, Options};

/// The completion of a log of one stream, and how many of its chunks were folded in full.
fn folded(log: &str, shapes: bool) -> (Box<super::Completion>, usize) {
    let mut decoder = Decoder::new(Options { shapes, ..Options::default() });
    let (mut sink, mut at) = (Completions::new(false), 0);
    while decoder.decode(log.as_bytes(), &mut at, 1000, &mut sink) {}
    decoder.finish(&mut sink);
    sink.finish();
    let Some(Ready::Completion(completion)) = sink.take_next() else { panic!("no completion") };
    assert!(sink.take_next().is_none());
    (completion, sink.trail.folds)
}

fn log(choice: impl Fn(usize) -> String) -> String {
    let chunk = |choice: String| {
        format!("data: {{\"id\":\"a\",\"created\":7,\"model\":\"m\",\"choices\":[{choice}],\"usage\":null}}\n\n")
    };
    (0..500).map(|number| chunk(choice(number))).collect::<String>() + "data: [DONE]\n\n"
}

fn check(choice: impl Fn(usize) -> String) -> Box<super::Completion> {
    let log = log(choice);
    let (by_shape, folds) = folded(&log, true);
    let (careful, all) = folded(&log, false);
    assert_eq!(all, 500);
    assert!(folds < 25, "{folds} chunks were folded in full");
    assert_eq!(format!("{by_shape:?}"), format!("{careful:?}"));
    by_shape
}

#[test]
fn pieces_of_text_go_the_short_way() {
    let completion = check(|number| {
        format!(r#"{{"index":0,"delta":{{"content":" {number}\n"}},"logprobs":null,"finish_reason":null}}"#)
    });
    let expected: String = (0..500).map(|number| format!(" {number}\n")).collect();
    let Some(Folded::Text(content)) = completion.choices[0].message.get(b"content") else { panic!("no text") };
    assert_eq!(*content, expected.as_bytes());
}

#[test]
fn pieces_in_two_places_go_the_short_way() {
    check(|number| {
        format!(
            r#"{{"index":0,"delta":{{"role":"assistant","content":"","reasoning":"{number}","reasoning_details":[{{"type":"reasoning.text","text":"{number}","index":0}}]}}}}"#
        )
    });
}

#[test]
fn pieces_of_arguments_go_the_short_way() {
    check(|number| {
        format!(r#"{{"index":0,"delta":{{"tool_calls":[{{"index":0,"function":{{"arguments":"{number}"}}}}]}}}}"#)
    });
}

#[test]
fn what_has_to_happen_for_each_chunk_happens() {
    let log = log(|number| {
        format!(r#"{{"index":0,"delta":{{"content":"{number}"}},"token_ids":[{number}],"seed":{number}}}"#)
    });
    let (by_shape, folds) = folded(&log, true);
    assert_eq!(folds, 500);
    assert_eq!(format!("{by_shape:?}"), format!("{:?}", folded(&log, false).0));
}

#[test]
fn what_was_given_out_is_forgotten() {
    let chunk = |id: &str, reason: &str| {
        format!(
            "data: {{\"id\":\"{id}\",\"model\":\"m-{id}\",\"choices\":[{{\"index\":0,\"delta\":{{\"role\":\"a\"}},\"finish_reason\":{reason}}}]}}\n\n"
        )
    };
    let mut log = chunk("broken", "null");
    for number in 0..20_000 {
        log += &(chunk(&format!("s{number}"), "\"stop\"") + "data: [DONE]\n\n");
    }
    let (mut sink, mut at, mut ids) = (Completions::new(false), 0, Vec::new());
    let mut decoder = Decoder::new(Options::default());
    let (mut most, mut more) = (0, true);
    while more {
        more = decoder.decode(log.as_bytes(), &mut at, 100, &mut sink);
        most = most.max(sink.tracker.rows()).max(sink.states.len());
        while let Some(Ready::Completion(completion)) = sink.take_next() {
            assert_eq!(completion.model, completion.id.as_ref().map(|id| [b"m-", &**id].concat().into()));
            ids.push(completion.id);
        }
    }
    assert_eq!(ids.len(), 19_999);
    assert!(most <= USUAL_ROWS, "{most} rows were kept");
    decoder.finish(&mut sink);
    sink.finish();
    let Some(Ready::Completion(completion)) = sink.take_next() else { panic!("no completion") };
    assert_eq!((completion.id.as_deref(), completion.model.as_deref()), (Some(&b"broken"[..]), Some(&b"m-broken"[..])));
}
