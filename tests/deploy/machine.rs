//! A Debian machine to deploy to: real packages and a real systemd, in namespaces of its own. Every
//! test boots its own, from one installed base that nothing writes to.

use std::{
    env, fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use relay_testing::{
    process,
    skip::{find, is_too_long, skip},
};
use tempfile::TempDir;

/// What is installed on it, beside what every Debian has.
const PACKAGES: &str = "systemd,systemd-sysv,dbus,libpam-systemd,sudo,git,curl,iproute2,openssl,ufw,\
    nginx-light,logrotate,nats-server,python3-websockets";
/// What the host needs to build the base and to boot.
const TOOLS: [&str; 3] = ["debootstrap", "unshare", "nsenter"];
const DEADLINE: Duration = Duration::from_secs(60);
/// Where the checkout is, in the home of the one who may use sudo there.
const CHECKOUT: &str = "home/op/claude-distill-relay";
/// The parts of this checkout that a deployment uses.
const DEPLOYED: [&str; 6] = [
    "deploy",
    "scripts",
    ".env.example",
    "Cargo.toml",
    "claude-distill-relay.service",
    "claude-distill-relay.socket",
];

/// A machine that runs. Dropping it ends all of its processes.
pub(crate) struct Machine {
    boot: Child,
    init: u32,
    _files: TempDir,
}

/// What a command said and how it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: i32,
    pub(crate) output: String,
}

impl Machine {
    /// Boots one, or says why there can be none here.
    pub(crate) fn boot() -> Option<Self> {
        Self::boot_with(Path::new("/dev/null"))
    }

    /// Boots one with the contents of a folder in /opt.
    pub(crate) fn boot_with(folder: &Path) -> Option<Self> {
        let base = base()?;
        let files = files(folder);
        let boot = Command::new(source("tests/deploy/boot.sh"))
            .args([&base, files.path()])
            .stdin(Stdio::null())
            .spawn()
            .expect("boot.sh starts");
        let mut machine = Self {
            boot,
            init: 0,
            _files: files,
        };
        machine.init = until("a systemd", || machine.find_init());
        until("the end of the boot", || {
            let state = machine.root("systemctl is-system-running");
            ["running", "degraded"]
                .contains(&state.output.trim())
                .then_some(())
        });
        Some(machine)
    }

    /// The process that is the machine's number 1.
    fn find_init(&mut self) -> Option<u32> {
        if let Some(status) = self.boot.try_wait().expect("a status") {
            panic!("boot.sh ended with {status}");
        }
        let id = self.boot.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).ok()?;
        let child: u32 = children.trim().parse().ok()?;
        let name = fs::read_to_string(format!("/proc/{child}/comm")).ok()?;
        (name.trim() == "systemd").then_some(child)
    }

    /// Runs a script in the checkout, as the operator.
    pub(crate) fn run(&self, script: &str) -> Ended {
        self.enter(script, &["runuser", "-u", "op", "--"])
    }

    /// Runs a script that must succeed, as the operator, and returns what it said.
    pub(crate) fn ok(&self, script: &str) -> String {
        self.run(script).expect(script, 0)
    }

    /// Runs a script in the checkout, as root.
    pub(crate) fn root(&self, script: &str) -> Ended {
        self.enter(script, &[])
    }

    fn enter(&self, script: &str, user: &[&str]) -> Ended {
        let init = self.init.to_string();
        let script = format!("cd /{CHECKOUT} && exec 2>&1\n{script}");
        let output = Command::new("nsenter")
            .args(["--target", &init, "--all", "--"])
            .args(["env", "-i", "HOME=/home/op", "LANG=C.UTF-8"])
            .arg("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .args(user)
            .args(["timeout", "120", "bash", "-c", &script])
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .expect("nsenter runs");
        Ended {
            status: output.status.code().unwrap_or(-1),
            output: String::from_utf8_lossy(&output.stdout).into_owned(),
        }
    }

    /// What a file of the machine's could have changed in: every file's name, size, mode and time,
    /// but for logs and for what a mere look at the clock or a login writes.
    pub(crate) fn fingerprint(&self) -> Vec<String> {
        let list = "find / -xdev \\( -path /var/log -o -path /proc -o -path /var/lib/systemd -o \
            -path /var/tmp \\) -prune -o ! -type d -printf '%p %s %m %T@ %l\\n' | sort";
        let all = self.root(list).expect("find", 0);
        all.lines().map(str::to_owned).collect()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.boot.kill();
        let _ = self.boot.wait();
    }
}

impl Ended {
    /// Checks how it ended, and returns what it said.
    pub(crate) fn expect(self, what: &str, status: i32) -> String {
        assert_eq!(self.status, status, "{what}\n{}", self.output);
        self.output
    }
}

/// A file of this checkout.
pub(crate) fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Waits for what is bound to happen.
pub(crate) fn until<T>(awaited: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {awaited}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// The folder of the installed base, made by whichever test comes first.
fn base() -> Option<PathBuf> {
    if let Some(tool) = TOOLS.iter().find(|tool| find(tool).is_none()) {
        skip(tool);
        return None;
    }
    if fs::read_to_string("/proc/self/status").is_ok_and(|status| !status.contains("Uid:\t0\t")) {
        skip("right to make a machine, which only root has");
        return None;
    }
    if is_too_long() {
        return None;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let base = folder.join("debian");
    let lock = fs::File::create(folder.join("debian.lock")).expect("a lock file");
    lock.lock().expect("a lock");
    let installed = base.join("packages");
    if fs::read_to_string(&installed).is_ok_and(|packages| packages == PACKAGES) {
        return Some(base);
    }
    let _ = fs::remove_dir_all(&base);
    let debootstrap = Command::new("debootstrap")
        .args([
            "--variant=minbase",
            &format!("--include={PACKAGES}"),
            "bookworm",
        ])
        .arg(&base)
        .stdout(Stdio::null())
        .status();
    assert!(
        debootstrap.is_ok_and(|status| status.success()),
        "debootstrap failed; its words are in {}",
        base.join("debootstrap/debootstrap.log").display()
    );
    fs::write(installed, PACKAGES).expect("a note of what is installed");
    Some(base)
}

/// What is on a machine beside the base: an operator who may use sudo, and their checkout.
fn files(folder: &Path) -> TempDir {
    let files = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    fs::set_permissions(files.path(), fs::Permissions::from_mode(0o755)).expect("a mode");
    let script = r#"
        set -e
        files=$1 base=$2 checkout=$1/$3 program=$4 folder=$5
        shift 5
        mkdir -p "$files/etc/sudoers.d" "$checkout" "$files/opt" "$files/etc/systemd/system"
        cp --recursive "$@" "$checkout"
        cp "$program" "$files/opt/claude-distill-relay"
        cp tests/deploy/share.py "$files/opt"
        [ ! -d "$folder" ] || cp "$folder"/* "$files/opt"
        for name in passwd shadow group; do cp --preserve "$base/etc/$name" "$files/etc"; done
        echo 'op:x:1000:1000::/home/op:/bin/bash' >>"$files/etc/passwd"
        echo 'op:*:20000:0:99999:7:::' >>"$files/etc/shadow"
        echo 'op:x:1000:' >>"$files/etc/group"
        echo 'op ALL=(ALL) NOPASSWD: ALL' >"$files/etc/sudoers.d/op"
        echo '127.0.0.1 localhost vm relay.example.com' >"$files/etc/hosts"
        chown --recursive 1000:1000 "$files/home/op"
    "#;
    let status = Command::new("bash")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["-c", script, "bash"])
        .arg(files.path())
        .arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join("debian"))
        .arg(CHECKOUT)
        .arg(process::program())
        .arg(folder)
        .args(DEPLOYED)
        .status();
    assert!(status.is_ok_and(|status| status.success()), "cp failed");
    // What would run at odd moments, and change files behind a test's back.
    for timer in [
        "apt-daily",
        "apt-daily-upgrade",
        "dpkg-db-backup",
        "e2scrub_all",
        "fstrim",
    ] {
        let link = files
            .path()
            .join(format!("etc/systemd/system/{timer}.timer"));
        symlink("/dev/null", link).expect("a link");
    }
    files
}
