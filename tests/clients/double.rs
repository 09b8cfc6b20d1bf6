//! A client that is told of rounds, and tells of them, by lines: `README.md` beside this has them.

use std::{
    fmt,
    io::{self, BufRead, BufReader, PipeReader, PipeWriter, Write},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};

use relay_testing::{
    DEADLINE,
    program::{Process, Program},
};

/// What becomes of a line: lines, to be handed to the function, the last of which tells what was heard.
pub trait Play: Send + 'static {
    fn play(&mut self, line: &str, tell: &dyn Fn(String));
}

/// Whether clients offer to compress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Deflate,
    Plain,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Deflate => "deflate",
            Self::Plain => "plain",
        })
    }
}

/// What one has heard from the other, and how.
pub struct Heard {
    /// The SHA-256 of it.
    pub hash: String,
    /// The extension agreed on with the relay, or `none`.
    pub extension: String,
}

/// A client.
pub struct Double {
    pub name: &'static str,
    /// Whether it offers to compress in [`Mode::Deflate`].
    pub offers: bool,
    rounds: Sender<String>,
    lines: Receiver<String>,
    /// The program it is, killed when this is dropped.
    _process: Option<Process>,
}

impl Double {
    /// One that is played on a thread of this process.
    pub fn new(name: &'static str, offers: bool, mut player: impl Play) -> Self {
        let (rounds, told) = channel::<String>();
        let (tell, lines) = channel();
        thread::spawn(move || {
            for line in told {
                // Nobody hears it where the test has failed meanwhile.
                player.play(&line, &|line| drop(tell.send(line)));
            }
        });
        Self {
            name,
            offers,
            rounds,
            lines,
            _process: None,
        }
    }

    /// One that is a program.
    pub fn program(name: &'static str, program: Program) -> Self {
        let (stdin, to) = io::pipe().unwrap();
        let (from, stdout) = io::pipe().unwrap();
        let process = program.stdin(stdin).stdout(stdout).spawn().unwrap();
        let from = BufReader::new(from);
        Self {
            _process: Some(process),
            ..Self::new(name, true, Pipes { to, from })
        }
    }

    /// Begins a round.
    pub fn begin(&self, round: String) {
        self.rounds.send(round).expect("a thread that plays");
    }

    /// The code of the room that it has opened.
    pub fn room(&self) -> String {
        let line = self.line();
        let code = line.strip_prefix("room ");
        code.unwrap_or_else(|| panic!("{line:?} of {}", self.name))
            .to_owned()
    }

    /// What it has heard from the other, at the end of a round.
    pub fn heard(&self) -> Heard {
        let line = self.line();
        let [word, hash, extension] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{line:?} of {}", self.name);
        };
        assert_eq!(word, "heard", "{}", self.name);
        Heard {
            hash: hash.to_owned(),
            extension: extension.to_owned(),
        }
    }

    fn line(&self) -> String {
        let line = self.lines.recv_timeout(DEADLINE);
        line.unwrap_or_else(|error| panic!("no word of {}: {error}", self.name))
    }
}

/// A program that reads lines and writes lines.
struct Pipes {
    to: PipeWriter,
    from: BufReader<PipeReader>,
}

impl Play for Pipes {
    fn play(&mut self, line: &str, tell: &dyn Fn(String)) {
        writeln!(self.to, "{line}").expect("a program that reads");
        for line in (&mut self.from).lines() {
            let line = line.expect("a line");
            let last = line.starts_with("heard");
            tell(line);
            if last {
                return;
            }
        }
        panic!("it has ended");
    }
}
