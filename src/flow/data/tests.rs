use super::*;
use crate::flow::credit::Pool;

#[test]
fn a_chunk_is_charged_for_more_than_its_bytes() {
    let window = Window::new(1000);
    let chunks = ["", "four"].map(|bytes| Chunk::new(bytes, &window));
    assert_eq!(window.used(), 4 + 2 * OVERHEAD);
    drop(chunks);
    assert_eq!(window.used(), 0);
}

#[test]
fn a_loan_is_kept_for_as_long_as_what_it_is_for() {
    let (window, pool) = (Window::new(1000), Pool::new(10_000));
    let mut loan = Share::take(&pool, 5000);
    let mut data = Data::Messages(Chunk::new("four", &window));
    data.charge_to(&mut loan);
    drop(loan);
    assert_eq!(pool.used(), 4 + OVERHEAD);
    drop(data);
    assert_eq!(pool.used(), 0);
}

#[test]
fn a_part_leaves_room_for_any_header_and_keeps_nothing_of_it() {
    for size in [0, 1, 125, 126, 65_535, 65_536] {
        let mut part = Part::with_capacity(size);
        part.grow().resize(MAX_SENT_HEADER + size, 7);
        assert_eq!(part.payload(), vec![7; size]);
        let header = Header::new(Opcode::Binary, true, size);
        let (frame, header_len) = part.into_frame(&header);
        assert_eq!(frame, header.frame(&vec![7; size]));
        assert_eq!(header_len, frame.len() - size);
    }
}
