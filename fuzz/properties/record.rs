//! What must hold of unpacking content, whatever the other side has sealed: it never panics, no record becomes
//! more than 32 KiB or nothing, and all of it takes the memory of one state.

use relay_client::transfer::{
    note::{Data, RECORD},
    packing::Unpacker,
};

/// The most that unpacking takes: the piece that a record may refer to, and the library's state.
const STATE: u64 = 2 * 1024 * 1024;

/// Records of one entry, each behind the one before, and whether each is said to be packed.
pub type Input = Vec<(bool, Vec<u8>)>;

/// Unpacks them and asserts all of the above.
pub fn check(records: &Input) {
    let memory = allocation_counter::measure(|| {
        let Ok(mut unpacker) = Unpacker::new() else {
            return;
        };
        let mut offset = 0;
        for (packed, record) in records {
            let data = Data {
                entry: 0,
                offset,
                packed: *packed,
            };
            let Ok(content) = unpacker.unpack(&data, record) else {
                return;
            };
            assert!((1..=RECORD).contains(&content.len()));
            assert!(*packed || content == record);
            offset += content.len() as u64;
        }
    });
    assert!(memory.bytes_max <= STATE, "{}", memory.bytes_max);
}
