//! The page in each browser.

use relay_testing::browser::{Browser, Kind};

#[test]
fn try_it() {
    for kind in Kind::ALL {
        let Some(browser) = Browser::of(kind) else { continue };
        let w = browser.window();
        w.go_to("http://127.0.0.1:19322/");
        eprintln!("{kind:?} {:?}", w.run("return new Promise((k) => { const w = new WebSocket('ws://' + location.host + '/'); w.onopen = () => k('open' + w.extensions); w.onerror = () => k('error'); });", &[]));
        w.run("const b = document.createElement('input'); b.type = 'file'; b.multiple = true; b.id = 'f'; document.body.append(b); return 1", &[]);
        w.type_into("#f", "/etc/hostname\n/etc/hosts");
        eprintln!("{:?}", w.run("return [...document.querySelector('#f').files].map((f) => f.name + f.size)", &[]));
        w.run("const a = document.createElement('a'); a.textContent='x'; a.id='a'; a.download = 'hello.bin'; a.href = URL.createObjectURL(new Blob(['hello'])); document.body.append(a); return 1", &[]);
        w.click("#a");
        std::thread::sleep(std::time::Duration::from_secs(2));
        for e in std::fs::read_dir(browser.downloads()).unwrap() { eprintln!("{:?}", e.unwrap().path()); }
    }
}
