//! A browser: Debian's Chromium, WebKit or Firefox, which its driver steers
//! (<https://www.w3.org/TR/webdriver2/>).
//!
//! WebKit has no way to do without a screen, and gets one that nobody sees (Xvfb). Debian has no driver of
//! Firefox's: geckodriver is built from crates.io where all is tested (`.ci/run`).

mod kind;
mod window;

use std::{
    fs,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
};

use serde_json::json;

pub use self::{kind::Kind, window::Window};
use crate::{
    memory,
    port::Port,
    program::{Process, Program},
    skip::{find, skip},
};

/// Where a browser saves files, in the folder that is its home.
const DOWNLOADS: &str = "downloads";

/// A browser with a window; it ends when this is dropped.
pub struct Browser {
    window: Window,
    downloads: PathBuf,
    driver: Process,
    _screen: Option<Process>,
    _port: Port,
}

impl Browser {
    /// A Chromium that shows nothing yet; says so where there can be none.
    pub fn start() -> Option<Self> {
        Self::of(Kind::Chromium)
    }

    /// One of this kind.
    pub fn of(kind: Kind) -> Option<Self> {
        if kind.programs().iter().any(|it| find(it).is_none()) {
            skip(kind.packages());
            return None;
        }
        let port = Port::reserve();
        let driver = Program::new(find(kind.programs()[0])?).args(kind.arguments(port.number()));
        // Whatever the browser writes goes there, too.
        let home = driver.directory().to_owned();
        let downloads = home.join(DOWNLOADS);
        lay_out(&home).expect("a home");
        let mut driver = driver.env("HOME", home.display());
        for (name, folder) in [
            ("TMPDIR", ""),
            ("XDG_CONFIG_HOME", ".config"),
            ("XDG_DATA_HOME", ".data"),
        ] {
            driver = driver.env(name, home.join(folder).display());
        }
        let (screen, driver) = match kind {
            Kind::WebKit => {
                let (screen, display) = screen();
                (Some(screen), driver.env("DISPLAY", display))
            }
            Kind::Chromium | Kind::Firefox => (None, driver),
        };
        let mut driver = driver.spawn().expect("a driver");
        driver.listens_at(port.addr()).expect("a driver");
        Some(Self {
            window: Window::open(port.addr(), &kind.capabilities(&downloads)),
            downloads,
            driver,
            _screen: screen,
            _port: port,
        })
    }

    /// Its window.
    pub fn window(&self) -> &Window {
        &self.window
    }

    /// The processes in which it runs pages (Chromium's way to name them).
    pub fn renderers(&self) -> Vec<u32> {
        let all = memory::descendants(self.driver.pid()).expect("processes");
        let is_renderer = |id: &u32| {
            let line = fs::read_to_string(format!("/proc/{id}/cmdline"));
            line.is_ok_and(|line| line.contains("--type=renderer"))
        };
        all.into_iter().filter(is_renderer).collect()
    }

    /// The folder in which it saves files, without asking.
    pub fn downloads(&self) -> &Path {
        &self.downloads
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It takes its files along, which it could not if its driver was killed. Where it cannot be told
        // to end, it does when the pipe to its driver breaks.
        let _ = self.window.request("DELETE", "", &json!({}));
    }
}

/// Makes the folder a home, and tells where its downloads are (xdg-user-dirs).
fn lay_out(home: &Path) -> io::Result<()> {
    let settings = home.join(".config");
    fs::create_dir_all(home.join(DOWNLOADS))?;
    fs::create_dir_all(home.join(".data"))?;
    fs::create_dir_all(&settings)?;
    let line = format!("XDG_DOWNLOAD_DIR=\"$HOME/{DOWNLOADS}\"\n");
    fs::write(settings.join("user-dirs.dirs"), line)
}

/// A screen that nobody sees, and its name.
fn screen() -> (Process, String) {
    let (from, number) = io::pipe().expect("a pipe");
    let screen = Program::new("Xvfb")
        .args("-displayfd 1 -nolisten tcp -screen 0 1280x1024x24".split(' '))
        .stdout(number)
        .spawn()
        .expect("Xvfb");
    let mut line = String::new();
    let read = BufReader::new(from).read_line(&mut line);
    read.expect("the number of a screen");
    (screen, format!(":{}", line.trim()))
}
