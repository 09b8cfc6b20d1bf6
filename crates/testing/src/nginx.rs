//! nginx as a program of a test: in the foreground, with all that it writes in a folder of its own.

/// The arguments that have it read `nginx.conf` in the folder that is the next one.
pub const ARGUMENTS: [&str; 5] = ["-e", "stderr", "-c", "nginx.conf", "-p"];

/// What stands in that file, with this in its `http` block; it takes as many connections as Debian's does.
pub fn config(http: &str) -> String {
    format!(
        "daemon off; master_process off; pid nginx.pid; error_log stderr warn;
        events {{ worker_connections 768; }}
        http {{
            access_log off;
            client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
            uwsgi_temp_path uwsgi; scgi_temp_path scgi;
            {http}
        }}"
    )
}
