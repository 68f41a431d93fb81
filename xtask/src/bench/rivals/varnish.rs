//! Varnish in front of the mirror.

use anyhow::Result;
use testkit::free_port;

use super::{Started, program_file};
use crate::bench::program::Launch;
use crate::bench::stage::{Stage, loopback};

/// Varnish with its cache in memory. The mirror asks caches to ask it again each time; this one
/// does not.
pub(super) async fn start(stage: &Stage, cores: &str) -> Result<Started> {
    let origin = stage.origin().await?;
    let port = free_port();
    let folder = stage.folder().join(format!("varnish-{port}"));
    std::fs::create_dir_all(&folder)?;
    let file = folder.join("default.vcl");
    let vcl = format!(
        "vcl 4.1;\n\
         backend default {{ .host = \"{}\"; .port = \"{}\"; }}\n\
         sub vcl_backend_response {{ set beresp.ttl = 1h; return (deliver); }}\n",
        origin.address.ip(),
        origin.address.port()
    );
    std::fs::write(&file, vcl)?;
    let launch = Launch::new("varnish", program_file("varnishd"))
        .args(&["-F", "-j", "none", "-s", "malloc,64m", "-f"])
        .arg(file)
        .arg("-n")
        .arg(folder.join("state"))
        .arg("-a")
        .arg(format!("127.0.0.1:{port}"));
    let program = launch.start(cores, stage.folder())?;
    Ok((program, loopback(port), Some(origin.program)))
}
