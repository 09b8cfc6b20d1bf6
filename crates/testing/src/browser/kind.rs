//! Which browsers there are, and how their drivers are told to start one.

use std::path::Path;

use serde_json::{Value, json};

/// A family of browsers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Chrome's, Edge's and most others'.
    Chromium,
    /// Safari's.
    WebKit,
    /// Mozilla's.
    Firefox,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Chromium, Self::WebKit, Self::Firefox];

    /// The programs that it takes; its driver is the first.
    pub(super) fn programs(self) -> &'static [&'static str] {
        match self {
            Self::Chromium => &["chromedriver", "chromium"],
            Self::WebKit => &["WebKitWebDriver", "Xvfb"],
            Self::Firefox => &["geckodriver", "firefox-esr"],
        }
    }

    /// Where those are from.
    pub(super) fn packages(self) -> &'static str {
        match self {
            Self::Chromium => "chromium and chromium-driver",
            Self::WebKit => "webkit2gtk-driver and xvfb",
            Self::Firefox => "firefox-esr and geckodriver",
        }
    }

    /// What its driver is started with, to listen on a port.
    pub(super) fn arguments(self, port: u16) -> Vec<String> {
        let mut arguments = vec![format!("--port={port}")];
        if self == Self::Firefox {
            // Any free one, for a second way to steer it that nobody uses here.
            arguments.push("--websocket-port=0".to_owned());
        }
        arguments
    }

    /// What a driver is to have a browser be: one that asks for nothing outside this machine, and saves
    /// files in `downloads` without asking. There is no sandbox for root, who the tests may be. To Chromium this
    /// machine is also `relay.test`, whose plain http it takes for that of any other.
    pub(super) fn capabilities(self, downloads: &Path) -> Value {
        let folder = downloads.to_string_lossy();
        match self {
            Self::Chromium => json!({
                "goog:chromeOptions": {
                    "args": [
                        "--headless",
                        "--no-sandbox",
                        "--disable-gpu",
                        "--disable-dev-shm-usage",
                        "--disable-component-update",
                        "--host-resolver-rules=MAP relay.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
                        "--remote-debugging-pipe",
                    ],
                    "prefs": {"download.default_directory": folder},
                },
                "goog:loggingPrefs": {"browser": "ALL"},
            }),
            Self::WebKit => json!({}),
            Self::Firefox => json!({
                "moz:firefoxOptions": {
                    "args": ["-headless"],
                    "prefs": {
                        "browser.download.folderList": 2,
                        "browser.download.dir": folder,
                        "browser.download.alwaysOpenPanel": false,
                        "network.proxy.type": 0,
                        "network.dns.disabled": true,
                    },
                },
            }),
        }
    }
}
