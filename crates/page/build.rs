//! Lays out the files of `web/dist/` as they are served: each as it is, and compressed where that is
//! shorter, in a folder for each content coding (RFC 9110 §8.4.1).

use std::{
    env, fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use brotli::CompressorWriter;
use flate2::{Compression, write::GzEncoder};

/// What `npm run build` has made, from here.
const BUILT: &str = "../../web/dist";
/// Brotli's best, and the window of which every browser has the memory.
const QUALITY: u32 = 11;
const WINDOW: u32 = 22;
/// Bytes that the compressor takes at once.
const BUFFER: usize = 4096;

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={BUILT}");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("page");
    // What an earlier build had.
    match fs::remove_dir_all(&out) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    for coding in ["identity", "br", "gzip"] {
        fs::create_dir_all(out.join(coding))?;
    }
    for entry in fs::read_dir(BUILT)? {
        lay_out(&entry?.path(), &out)?;
    }
    Ok(())
}

/// Writes one file in each coding.
fn lay_out(file: &Path, out: &Path) -> io::Result<()> {
    let name = file.file_name().unwrap_or_default();
    let plain = fs::read(file)?;
    fs::write(out.join("identity").join(name), &plain)?;
    for (coding, packed) in [("br", brotli(&plain)?), ("gzip", gzip(&plain)?)] {
        if packed.len() < plain.len() {
            fs::write(out.join(coding).join(name), packed)?;
        }
    }
    Ok(())
}

fn brotli(plain: &[u8]) -> io::Result<Vec<u8>> {
    let mut writer = CompressorWriter::new(Vec::new(), BUFFER, QUALITY, WINDOW);
    writer.write_all(plain)?;
    Ok(writer.into_inner())
}

fn gzip(plain: &[u8]) -> io::Result<Vec<u8>> {
    let mut writer = GzEncoder::new(Vec::new(), Compression::best());
    writer.write_all(plain)?;
    writer.finish()
}
