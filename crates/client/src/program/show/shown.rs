//! Whoever is shown news, and how a line gets there.

use std::io::Write;

use super::super::news::News;

/// Somebody who is shown news.
pub(super) trait Shown {
    fn hear(&mut self, news: News);
}

/// Writes a line. Where nobody reads it any more, the transfer goes on.
pub(super) fn put(to: &mut impl Write, line: &str) {
    let _ = to
        .write_all(format!("{line}\n").as_bytes())
        .and_then(|()| to.flush());
}
