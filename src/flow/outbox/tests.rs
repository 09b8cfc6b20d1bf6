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
    let bytes: Vec<_> = outbox.slices().flatten().copied().collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn frames_wait_in_order_and_none_comes_between_the_parts_of_one() {
    let (mut outbox, window) = outbox(&["before "]);
    let parts = ["in ", "three ", "parts "].map(|part| Chunk::new(part, &window));
    outbox.push(Delivery::Parts(parts.into()));
    outbox.push(Chunk::new("after", &window));
    assert_eq!(waiting(&outbox), "before in three parts after");
    assert_eq!(outbox.slices().len(), 5);
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
    let (mut outbox, window) = outbox(&["ab", "cd", "", "efg", "h"]);
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
fn a_place_is_written_once_the_system_has_all_in_front_of_it() {
    let window = Window::new(1 << 20);
    let mut outbox = Outbox::default();
    assert!(outbox.has_written(outbox.end()));
    outbox.push(Chunk::new(&b"abc"[..], &window));
    let place = outbox.end();
    outbox.push(Chunk::new(&b"def"[..], &window));
    outbox.written(2);
    assert!(!outbox.has_written(place));
    outbox.written(1);
    assert!(outbox.has_written(place) && !outbox.has_written(outbox.end()));
    outbox.clear();
    assert!(outbox.has_written(outbox.end()));
}
