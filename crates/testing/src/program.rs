//! A program in a process of its own: what it is started with, what it says, and how it ends.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs,
    io::{self, BufRead, BufReader},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{
        Mutex,
        mpsc::{self, Receiver},
    },
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

use crate::wait::{DEADLINE, within};

/// How the variables begin that mean something to the relay.
const OURS: [&str; 7] = [
    "RELAY_",
    "LISTEN_",
    "NOTIFY_",
    "RUNTIME_DIRECTORY",
    "SSL_CERT_",
    "STATE_DIRECTORY",
    "WATCHDOG_",
];
/// How often to look at what tells of no change by itself.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// A program of this workspace, if it was built. Cargo builds those of a package for its tests and benchmarks, and
/// names them; those of other packages are beside the test, where all are built together.
pub fn built(name: &str) -> Option<OsString> {
    env::var_os(format!("CARGO_BIN_EXE_{name}")).or_else(|| {
        let test = env::current_exe().ok()?;
        let path = test.ancestors().nth(2)?.join(name);
        path.exists().then(|| path.into())
    })
}

/// A program that is about to be started, in a directory of its own and with nothing of ours in its
/// environment.
pub struct Program {
    command: Command,
    directory: TempDir,
    stdout_is_given: bool,
}

impl Program {
    /// The one at this path, or of this name on the `PATH`.
    pub fn new(path: impl AsRef<OsStr>) -> Self {
        let directory = TempDir::new().expect("a directory");
        let mut command = Command::new(path);
        command.current_dir(&directory).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        for (name, _) in env::vars_os() {
            let text = name.to_string_lossy();
            if OURS.iter().any(|prefix| text.starts_with(prefix)) {
                command.env_remove(&name);
            }
        }
        command.env_remove("RUST_LOG").env_remove("JOURNAL_STREAM");
        Self {
            command,
            directory,
            stdout_is_given: false,
        }
    }

    /// With a variable in its environment.
    pub fn env(mut self, name: &str, value: impl ToString) -> Self {
        self.command.env(name, value.to_string());
        self
    }

    /// With further arguments.
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.command.args(args);
        self
    }

    /// With a file in its directory.
    pub fn file(self, name: &str, text: &str) -> Self {
        fs::write(self.directory().join(name), text).expect("a file");
        self
    }

    /// With this as its standard input, which is otherwise empty.
    pub fn stdin(mut self, stdin: impl Into<Stdio>) -> Self {
        self.command.stdin(stdin);
        self
    }

    /// With its standard output going there, and not to who asks for its output.
    pub fn stdout(mut self, stdout: impl Into<Stdio>) -> Self {
        self.command.stdout(stdout);
        self.stdout_is_given = true;
        self
    }

    /// With its standard error going there, and not to who asks for its lines.
    pub fn stderr(mut self, stderr: impl Into<Stdio>) -> Self {
        self.command.stderr(stderr);
        self
    }

    /// The directory it starts in, gone when it has ended.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Runs it to its end, and fails if it goes on for too long.
    pub fn output(mut self) -> Output {
        if !self.stdout_is_given {
            self.command.stdout(Stdio::piped());
        }
        let child = self.command.spawn().expect("a program");
        let id = child.id();
        let (send, ended) = mpsc::channel();
        thread::spawn(move || send.send(child.wait_with_output()));
        let Ok(output) = ended.recv_timeout(DEADLINE) else {
            signal(id, Signal::SIGKILL);
            panic!("it has not ended after {DEADLINE:?}");
        };
        output.expect("its output")
    }

    /// Starts it.
    ///
    /// # Errors
    ///
    /// Where there is no such program.
    pub fn spawn(mut self) -> io::Result<Process> {
        let mut child = self.command.spawn()?;
        let (send, lines) = mpsc::channel();
        if let Some(stderr) = child.stderr.take() {
            thread::spawn(move || {
                // To the end, whether or not anybody still wants to hear it: a full pipe would stop
                // the program.
                for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                    let _ = send.send(line);
                }
            });
        }
        Ok(Process {
            child,
            lines: Mutex::new(lines),
            said: Vec::new(),
            _directory: self.directory,
        })
    }
}

/// A running program, killed when dropped.
pub struct Process {
    child: Child,
    /// What it says on its standard error. The lock lets threads share the process.
    lines: Mutex<Receiver<String>>,
    /// What was taken from them.
    said: Vec<String>,
    _directory: TempDir,
}

impl Process {
    /// Waits until somebody accepts connections at this address.
    ///
    /// # Errors
    ///
    /// Where the program has ended instead, or takes too long.
    pub fn listens_at(&mut self, addr: SocketAddr) -> Result<(), String> {
        let deadline = Instant::now() + DEADLINE;
        while TcpStream::connect(addr).is_err() {
            if let Some(status) = self.status() {
                self.hear_all();
                return Err(format!("it ended at once, {status}: {:#?}", self.said));
            }
            if Instant::now() > deadline {
                return Err(format!("nobody listens at {addr} after {DEADLINE:?}"));
            }
            thread::sleep(LOOK_AGAIN);
        }
        Ok(())
    }

    /// The system's number for it.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, which: Signal) {
        signal(self.pid(), which);
    }

    /// Stops it in its tracks, until SIGCONT: what comes meanwhile waits with the system.
    pub async fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
        while self.proc("stat").split(' ').nth(2) != Some("T") {
            tokio::task::yield_now().await;
        }
    }

    /// The first line of its log from here on that has `text` in it.
    pub fn line_with(&mut self, text: &str) -> String {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.get_mut().expect("a lock").recv_timeout(left);
            let Ok(line) = line else {
                panic!("no line with {text:?} but {:#?}", self.said);
            };
            self.said.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
    }

    /// How many lines of the log of a program that has ended have `text` in them.
    pub fn lines_with(&mut self, text: &str) -> usize {
        assert!(self.status().is_some(), "it may have more to say");
        self.hear_all();
        self.said.iter().filter(|line| line.contains(text)).count()
    }

    /// What it has said of which a test has heard: after [`lines_with`](Self::lines_with), all.
    pub fn said(&self) -> &[String] {
        &self.said
    }

    /// Takes what is said up to its end.
    fn hear_all(&mut self) {
        let lines = self.lines.get_mut().expect("a lock");
        self.said.extend(lines.iter());
    }

    /// Stops it, as a service manager does, and waits for its good end.
    pub async fn stop(&mut self) {
        self.signal(Signal::SIGTERM);
        let status = self.ended().await;
        assert!(status.success(), "{status}");
    }

    /// Its status, if it has ended.
    pub fn status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a status")
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> ExitStatus {
        let ending = async {
            loop {
                if let Some(status) = self.status() {
                    return status;
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        within("the end of the program", ending).await
    }

    /// A file of its own in `/proc`.
    pub fn proc(&self, name: &str) -> String {
        let path = format!("/proc/{}/{name}", self.pid());
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Either may fail, and only because the program has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
        if thread::panicking() {
            self.hear_all();
            eprintln!("what the program said: {:#?}", self.said);
        }
    }
}

fn signal(process: u32, which: Signal) {
    let id = i32::try_from(process).expect("a process id");
    kill(Pid::from_raw(id), which).expect("a signal");
}
