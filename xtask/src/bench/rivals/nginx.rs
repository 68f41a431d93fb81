//! nginx as a server of files, and as a cache in front of the mirror.

use std::net::SocketAddr;

use anyhow::Result;
use testkit::free_port;

use super::program_file;
use crate::bench::cases::Rival;
use crate::bench::program::{Launch, Program};
use crate::bench::stage::{Stage, loopback};

/// Starts it as Debian sets it up, without an access log.
pub(in crate::bench) fn start(
    name: &str,
    server: &str,
    stage: &Stage,
    cores: &str,
) -> Result<(Program, SocketAddr)> {
    let port = free_port();
    let folder = stage.folder().join(format!("{name}-{port}"));
    std::fs::create_dir_all(&folder)?;
    let there = folder.display();
    let user = if rustix::process::geteuid().is_root() {
        "user root;"
    } else {
        ""
    };
    let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|path| format!("{path}_temp_path {there}/{path};\n"))
        .concat();
    let workers = if *cores == stage.cores.server {
        "1"
    } else {
        "auto"
    };
    let configuration = format!(
        "daemon off; worker_processes {workers}; pid {there}/pid; {user}\n\
         error_log stderr;\n\
         events {{ worker_connections 4096; }}\n\
         http {{\n\
         access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000;\n\
         types {{ application/json json; text/html html; }}\n{paths}\
         proxy_cache_path {there}/cache keys_zone=mirror:8m;\n\
         server {{ listen 127.0.0.1:{port} backlog=4096;\n{server}\n}}\n}}\n"
    );
    let file = folder.join("nginx.conf");
    std::fs::write(&file, configuration)?;
    let launch = Launch::new(name, program_file("nginx"))
        .args(&["-e", "stderr", "-p"])
        .arg(&folder)
        .arg("-c")
        .arg(file);
    Ok((launch.start(cores, stage.folder())?, loopback(port)))
}

/// The server block of an nginx that serves files.
pub(super) fn files(rival: Rival, stage: &Stage) -> String {
    let compression = match rival {
        Rival::NginxGzip => "gzip on; gzip_types application/json;",
        Rival::NginxGzipStatic => "gzip_static on;",
        _ => "",
    };
    format!(
        "root {}; {compression}\n\
         open_file_cache max=1000 inactive=1h; open_file_cache_valid 1h;",
        stage.files().display()
    )
}

/// The server block of an nginx that caches the mirror's answers.
pub(super) fn proxy(origin: SocketAddr) -> String {
    format!(
        "location / {{ proxy_pass http://{origin}; proxy_cache mirror; proxy_cache_valid 1h;\n\
         proxy_ignore_headers Cache-Control Vary; }}\n\
         open_file_cache max=1000 inactive=1h; open_file_cache_valid 1h;"
    )
}
