//! The last program of `cargo test --workspace`: says what was skipped, on the screen, since there is no
//! test harness here that would capture it.

use relay_testing::skip;

fn main() {
    println!("\n{}", skip::summary());
}
