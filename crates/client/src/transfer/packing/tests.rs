use proptest::prelude::*;

use super::*;

/// Packs `content` as an entry's, from `offset` on, and unpacks it again.
fn across(content: &[u8], offset: u64) -> (Vec<u8>, usize) {
    let (mut packer, mut unpacker) = (Packer::new().unwrap(), Unpacker::new().unwrap());
    let (mut arrived, mut sent) = (Vec::new(), 0);
    let mut rest = content;
    while !rest.is_empty() {
        let at = offset + arrived.len() as u64;
        let len = (PIECE - at % PIECE).min(RECORD as u64) as usize;
        let (record, more) = rest.split_at(len.min(rest.len()));
        let mut message = vec![0; Data::HEAD];
        message.extend_from_slice(record);
        let data = packer.pack(0, at, &mut message);
        let content = unpacker.unpack(&data, &message[Data::HEAD..]).unwrap();
        assert_eq!(content, record);
        arrived.extend_from_slice(content);
        sent += message.len() - Data::HEAD;
        rest = more;
    }
    (arrived, sent)
}

/// Bytes that nothing packs.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut byte = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    };
    (0..len).map(|_| byte()).collect()
}

#[test]
fn text_shrinks_and_noise_goes_as_it_is() {
    let text = "A line of a text, like any other.\n".repeat(100_000);
    let (arrived, sent) = across(text.as_bytes(), 0);
    assert!(arrived == text.as_bytes());
    assert!(sent < text.len() / 50, "{sent}");
    let noise = noise(3 * 1024 * 1024 + 17);
    let (arrived, sent) = across(&noise, 0);
    assert!(arrived == noise);
    assert_eq!(sent, noise.len());
}

#[test]
fn each_piece_is_judged_by_itself() {
    let mut content = noise(PIECE as usize);
    content.resize(2 * PIECE as usize, b'x');
    let (arrived, sent) = across(&content, 0);
    assert!(arrived == content);
    assert!(sent < PIECE as usize + 2000, "{sent}");
}

#[test]
fn a_record_that_would_swell_is_refused() {
    let swollen = zstd::stream::encode_all([0; RECORD + 1].as_slice(), 1).unwrap();
    let bomb = zstd::stream::encode_all(vec![0; 100 * RECORD].as_slice(), 1).unwrap();
    let data = Data {
        entry: 0,
        offset: 0,
        packed: true,
    };
    for record in [swollen, bomb] {
        let mut unpacker = Unpacker::new().unwrap();
        assert_eq!(unpacker.unpack(&data, &record), Err(NotPacked));
    }
}

#[test]
fn a_window_beyond_a_piece_is_refused() {
    let mut encoder = Encoder::new(1).unwrap();
    encoder.set_parameter(CParameter::WindowLog(27)).unwrap();
    let mut record = Vec::with_capacity(2 * RECORD);
    let mut output = OutBuffer::around(&mut record);
    let mut input = InBuffer::around(&[0; 1000]);
    encoder.run(&mut input, &mut output).unwrap();
    encoder.flush(&mut output).unwrap();
    let data = Data {
        entry: 0,
        offset: 0,
        packed: true,
    };
    let mut unpacker = Unpacker::new().unwrap();
    assert_eq!(unpacker.unpack(&data, &record), Err(NotPacked));
}

#[test]
fn a_record_has_a_least_and_a_most() {
    let mut unpacker = Unpacker::new().unwrap();
    let data = Data {
        entry: 0,
        offset: 0,
        packed: false,
    };
    assert_eq!(unpacker.unpack(&data, &[]), Err(NotPacked));
    assert!(unpacker.unpack(&data, &[0; RECORD]).is_ok());
    assert_eq!(unpacker.unpack(&data, &[0; RECORD + 1]), Err(NotPacked));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn whatever_is_packed_is_unpacked(
        parts in prop::collection::vec((any::<bool>(), 1..400_000_usize), 1..6),
        offset in 0..3 * PIECE,
    ) {
        let mut content = Vec::new();
        for (noisy, len) in parts {
            match noisy {
                true => content.extend_from_slice(&noise(len)),
                false => content.resize(content.len() + len, b'a'),
            }
        }
        prop_assert!(across(&content, offset).0 == content);
    }
}
