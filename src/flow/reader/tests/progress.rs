//! How far a message has come, and how little of it waits.

use super::*;

#[test]
fn a_message_is_in_progress_from_its_first_header_to_its_last_byte() {
    let (mut reader, _) = reader(true);
    let message = fragments(Opcode::Binary, b"abc", &[0], true);
    assert!(!reader.in_message());
    let first = masked(Opcode::Binary, false, b"").len();
    for at in 0..message.len() {
        let mut byte = &message[at..=at];
        while reader.next(&mut byte).is_some() {}
        let begun = at + 1 >= first;
        let ended = at + 1 == message.len();
        assert_eq!(reader.in_message(), begun && !ended, "byte {at}");
    }
}

#[test]
fn a_message_is_in_progress_from_its_first_frame_to_its_last() {
    let (mut reader, _) = reader(true);
    let parts = [
        (masked(Opcode::Text, true, b"whole"), false),
        (masked(Opcode::Binary, false, b"begun"), true),
        (masked(Opcode::Ping, true, b""), true),
        (masked(Opcode::Continuation, true, b"ended"), false),
    ];
    for (bytes, in_message) in parts {
        let mut input = &bytes[..];
        while reader.next(&mut input).is_some() {}
        assert_eq!(reader.in_message(), in_message);
    }
}

#[test]
fn a_long_message_in_little_reads_leaves_in_fewer_fragments_than_libraries_refuse() {
    const LIMIT: u64 = 64 << 20;
    let mut reader = FrameReader::new(LIMIT, Window::new(1 << 30));
    reader.join_messages();
    for (length, read) in [(LIMIT as usize, 1460), (8_000_000, 1000), (100_000, 20)] {
        let payload: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        let frame = masked(Opcode::Binary, true, &payload);
        let mut peer = Peer::read(&mut reader, &[], &[]);
        let mut fragments = 0;
        for mut piece in frame.chunks(read) {
            while let Some(event) = reader.next(&mut piece) {
                fragments += 1;
                peer.take(event);
            }
            let waits = reader.part.as_ref().map_or(0, |part| part.payload().len());
            assert!(waits <= length / 1024, "{waits} bytes wait");
        }
        assert!(peer.got == [Sent::Message(Opcode::Binary, payload)]);
        assert!(fragments <= 1026, "{fragments} fragments");
    }
}

#[test]
fn what_is_at_least_to_come_of_a_message_is_never_beyond_its_end() {
    let stream = [
        masked(Opcode::Text, true, b"one"),
        masked(Opcode::Binary, false, &[7; 300]),
        masked(Opcode::Ping, true, b"?"),
        masked(Opcode::Continuation, false, b""),
        masked(Opcode::Continuation, true, &[7; 600]),
        masked(Opcode::Text, false, b"a"),
        masked(Opcode::Continuation, true, b""),
        masked(Opcode::Ping, true, b""),
    ];
    let stream = stream.concat();
    let (mut reader, _) = reader(true);
    let (mut rest, mut reads, mut ends) = (&stream[..], 0, Vec::new());
    while !rest.is_empty() {
        // As a session reads on; one byte begins what comes next.
        let most = (reader.least_left() as usize).clamp(1, 100).min(rest.len());
        let (mut bytes, behind) = rest.split_at(most);
        while reader.next(&mut bytes).is_some() {}
        rest = behind;
        reads += 1;
        if reader.is_between() {
            ends.push(stream.len() - rest.len());
        }
    }
    let [one, two] = [9, 9 + 308 + 7 + 6 + 608];
    assert_eq!(ends, [one, two, two + 7 + 6, stream.len()]);
    assert!(reads < 50, "{reads}");
}
