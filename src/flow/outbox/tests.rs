//! What waits, what is given back, and how much the queue keeps for itself.

use std::sync::Arc;

use super::*;
use crate::flow::{credit::Window, data::OVERHEAD};

fn outbox(chunks: &[&'static str]) -> (Outbox, Arc<Window>) {
    let (mut outbox, window) = (Outbox::default(), Window::new(1 << 20));
    for bytes in chunks {
        outbox.push(Chunk::new(*bytes, &window));
    }
    (outbox, window)
}

fn waiting(outbox: &Outbox) -> String {
    let bytes: Vec<_> = outbox.slices(usize::MAX).flatten().copied().collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn frames_wait_in_order() {
    let (mut outbox, window) = outbox(&["before "]);
    let parts = ["in ", "three ", "parts "].map(|part| Chunk::new(part, &window));
    outbox.push(Delivery::Chunks(parts.into()));
    outbox.push(Chunk::new("after", &window));
    assert_eq!(waiting(&outbox), "before in three parts after");
    let sizes = |most| outbox.slices(most).map(<[u8]>::len).collect::<Vec<_>>();
    assert_eq!(sizes(usize::MAX), [7, 3, 6, 6, 5]);
    assert_eq!(sizes(16), [7, 3, 6]);
    assert_eq!(sizes(15), [7, 3]);
    assert_eq!(sizes(1), [7], "the first goes whole");
}

#[test]
fn a_chunk_keeps_its_credit_until_its_last_byte_is_written() {
    let (mut outbox, window) = outbox(&["abc", "defg"]);
    let (first, second) = (3 + OVERHEAD, 4 + OVERHEAD);
    for (count, left, credit) in [
        (0, "abcdefg", first + second),
        (2, "cdefg", first + second),
        (1, "defg", second),
        (3, "g", second),
        (1, "", 0),
    ] {
        outbox.written(count);
        assert_eq!((&*waiting(&outbox), window.used()), (left, credit));
        assert_eq!(outbox.is_empty(), left.is_empty());
    }
}

#[test]
fn one_write_may_take_several_chunks_and_part_of_the_next() {
    let (mut outbox, window) = outbox(&["ab", "cd", "efg", "h"]);
    outbox.written(6);
    assert_eq!(waiting(&outbox), "gh");
    assert_eq!(window.used(), 3 + 1 + 2 * OVERHEAD);
}

#[test]
fn what_nobody_will_take_is_given_back() {
    let (mut outbox, window) = outbox(&["ab", "cd"]);
    outbox.clear();
    assert!(outbox.is_empty());
    assert_eq!(window.used(), 0);
}

#[test]
fn a_long_queue_leaves_no_memory_behind_and_a_short_one_its_slots() {
    let (mut outbox, window) = outbox(&["x"; 1000]);
    outbox.written(1000);
    assert_eq!(outbox.chunks.capacity(), 0);
    let push = |outbox: &mut Outbox, count| {
        for _ in 0..count {
            outbox.push(Chunk::new("x", &window));
        }
        let slots = outbox.chunks.capacity();
        outbox.written(count);
        (slots, outbox.chunks.capacity())
    };
    let (slots, kept) = push(&mut outbox, KEPT_SLOTS);
    assert_eq!(kept, slots);
    let (_, kept) = push(&mut outbox, KEPT_SLOTS + 1);
    assert_eq!(kept, 0);
    push(&mut outbox, 100);
    outbox.push(Chunk::new("x", &window));
    outbox.clear();
    assert_eq!(outbox.chunks.capacity(), 0);
}

#[test]
fn control_frames_go_in_front_of_data_behind_what_is_being_written() {
    let window = Window::new(1 << 20);
    let mut outbox = Outbox::default();
    for data in ["first ", "second"] {
        outbox.push(Chunk::of_payload(data, 6, &window));
    }
    let urgent =
        |outbox: &mut Outbox, text: &'static str| outbox.push_urgent(Chunk::ours(text, &window));
    outbox.written(2);
    assert_eq!(outbox.urgent(), 4);
    assert_eq!(urgent(&mut outbox, "ping "), 6 + 5);
    let place = urgent(&mut outbox, "pong ");
    assert_eq!(place, 6 + 5 + 5);
    assert_eq!(waiting(&outbox), "rst ping pong second");
    outbox.written(4 + 5 + 4);
    assert!(!outbox.has_written(place));
    assert_eq!(urgent(&mut outbox, "late "), 16 + 5);
    assert_eq!(waiting(&outbox), " late second");
    outbox.written(1);
    assert!(outbox.has_written(place) && outbox.written_to() == place);
    outbox.written(5 + 6);
    assert!(outbox.is_empty() && outbox.urgent() == 0);
    assert_eq!(urgent(&mut outbox, "alone"), 27 + 5);
}

#[test]
fn control_frames_do_not_overtake_words_of_the_relay() {
    let window = Window::new(1 << 20);
    let mut outbox = Outbox::default();
    for word in ["created ", "joined "] {
        outbox.push(Chunk::ours(word, &window));
    }
    outbox.push(Chunk::of_payload("data ", 5, &window));
    outbox.push(Chunk::ours("gone", &window));
    outbox.push_urgent(Chunk::ours("pong ", &window));
    assert_eq!(waiting(&outbox), "created joined pong data gone");
    assert_eq!(outbox.urgent(), "created joined pong ".len());
}

#[test]
fn a_ping_keeps_its_place_and_is_made_when_its_turn_comes() {
    let (mut outbox, window) = outbox(&["before "]);
    outbox.push(Chunk::ping(&window));
    outbox.push(Chunk::of_payload("after", 5, &window));
    assert_eq!(waiting(&outbox), "before ");
    assert!(!outbox.take_ping());
    outbox.written(3);
    assert!(
        outbox.take_ping(),
        "what is being written is in front of it"
    );
    outbox.push_urgent(Chunk::ours("ping ", &window));
    assert_eq!(waiting(&outbox), "ore ping after");
    outbox.written(9);
    outbox.push(Chunk::ping(&window));
    assert!(!outbox.take_ping());
    outbox.written(5);
    assert!(outbox.take_ping() && !outbox.take_ping());
    outbox.push_urgent(Chunk::ours("ping ", &window));
    assert_eq!(waiting(&outbox), "ping ");
}

#[test]
fn payload_is_counted_up_to_where_a_mark_goes() {
    let window = Window::new(1 << 20);
    let mut outbox = Outbox::default();
    outbox.push(Chunk::ours("reply", &window));
    outbox.push(Chunk::of_payload("0123456789", 8, &window));
    outbox.push(Chunk::of_payload("0123456789", 8, &window));
    outbox.written(5);
    assert!(outbox.is_at_data());
    assert_eq!(outbox.payload_before_urgent(), 0);
    outbox.written(3);
    assert!(!outbox.is_at_data(), "it is half written");
    assert_eq!(outbox.payload_before_urgent(), 8, "a mark goes behind it");
    outbox.written(17);
    assert_eq!(outbox.payload_before_urgent(), 16);
}

/// All frames of an outbox, cut to this length as they are written one by one.
fn cut_to(most: usize, frames: &[u8], window: &Arc<Window>) -> (Vec<usize>, Vec<u8>) {
    let mut outbox = Outbox::default();
    outbox.push(Chunk::of_payload(frames.to_vec(), frames.len(), window));
    let (mut sizes, mut bytes) = (Vec::new(), Vec::new());
    while !outbox.is_empty() {
        outbox.cut(most);
        let next = outbox.slices(1).next().unwrap_or_default();
        let size = next.len();
        bytes.extend_from_slice(next);
        sizes.push(size);
        outbox.written(size);
    }
    (sizes, bytes)
}

/// The messages that these frames are, with their kinds and reserved bits.
fn messages(mut frames: &[u8]) -> Vec<(Opcode, u8, bool, Vec<u8>)> {
    let mut messages: Vec<(Opcode, u8, bool, Vec<u8>)> = Vec::new();
    while let Ok(Some((header, len))) = Header::parse(frames) {
        let (payload, rest) = frames[len..].split_at(header.len as usize);
        frames = rest;
        match messages.last_mut() {
            Some((_, _, fin, message)) if header.opcode == Opcode::Continuation && !*fin => {
                assert_eq!(header.rsv, 0);
                *fin = header.fin;
                message.extend_from_slice(payload);
            }
            _ => messages.push((header.opcode, header.rsv, header.fin, payload.to_vec())),
        }
    }
    assert!(frames.is_empty());
    messages
}

#[test]
fn long_frames_go_in_fragments_and_short_ones_as_many_as_fit() {
    let window = Window::new(1 << 20);
    let payload: Vec<u8> = (0..70_000_u32).map(|at| at as u8).collect();
    let mut frames = Vec::new();
    for (opcode, rsv, fin, len) in [
        (Opcode::Text, 0, true, 0),
        (Opcode::Binary, 4, true, 300),
        (Opcode::Text, 0, true, 4090),
        (Opcode::Binary, 4, false, 70_000),
        (Opcode::Continuation, 0, true, 4097),
        (Opcode::Text, 0, true, 1),
    ] {
        let header = Header {
            rsv,
            ..Header::new(opcode, fin, len)
        };
        frames.extend(header.frame(&payload[..len]));
    }
    let (sizes, bytes) = cut_to(4096, &frames, &window);
    assert_eq!(messages(&bytes), messages(&frames));
    assert!(sizes.iter().all(|&size| size <= 4096 + 4), "{sizes:?}");
    assert_eq!(sizes[0], 2 + 4 + 300);
    assert_eq!(window.used(), 0);
    let (sizes, _) = cut_to(1 << 20, &frames, &window);
    assert_eq!(sizes.iter().max(), Some(&(LONGEST_CUT + 4)), "{sizes:?}");
}

#[test]
fn what_is_cut_is_charged_until_all_of_it_is_written() {
    let window = Window::new(1 << 20);
    let mut outbox = Outbox::default();
    let frame = Header::new(Opcode::Binary, true, 10_000).frame(&[7; 10_000]);
    outbox.push(Chunk::new(frame, &window));
    let charged = window.used();
    for _ in 0..2 {
        outbox.cut(4096);
        outbox.written(4100);
        assert_eq!(window.used(), charged);
    }
    outbox.cut(4096);
    outbox.written(1812);
    assert!(outbox.is_empty() && window.used() == 0);
}

#[test]
fn a_long_message_goes_in_fewer_fragments_than_libraries_refuse() {
    const CHUNK: usize = 64 << 10;
    let window = Window::new(1 << 20);
    let mut outbox = Outbox::default();
    // Again and again, as each message counts for itself.
    for _ in 0..2 {
        let mut fragments = 0;
        for at in 1..=1024 {
            let opcode = match at {
                1 => Opcode::Binary,
                _ => Opcode::Continuation,
            };
            let frame = Header::new(opcode, at == 1024, CHUNK).frame(&[7; CHUNK]);
            outbox.push(Chunk::of_payload(frame, CHUNK, &window));
            if at % 100 == 0 {
                let ping = Header::new(Opcode::Ping, true, 0).frame(&[]);
                outbox.push_urgent(Chunk::ours(ping, &window));
            }
            while !outbox.is_empty() {
                outbox.cut(4096);
                let next = outbox.slices(0).next().map_or(0, <[u8]>::len);
                outbox.written(next);
                fragments += 1;
                let longest = 4096 << (fragments / 256).min(8);
                assert!(next <= longest + 4, "{next} bytes at {fragments}");
            }
        }
        assert!((1024..3072).contains(&fragments), "{fragments} fragments");
    }
}

#[test]
fn words_of_the_relay_are_not_cut() {
    let window = Window::new(1 << 20);
    let mut outbox = Outbox::default();
    let pongs = Header::new(Opcode::Pong, true, 125)
        .frame(&[7; 125])
        .repeat(100);
    outbox.push_urgent(Chunk::ours(pongs.clone(), &window));
    outbox.cut(4096);
    assert_eq!(outbox.urgent(), pongs.len());
}
