//! An operator's settings for the stack reach its containers, and work there.

use testkit::client::get;

use super::healthy;
use super::stack::{PROXIES, Stack};

/// The port of a reader's admin address is an ordinary port on the host.
pub(crate) async fn any_port_can_be_published(stack: &Stack) {
    // Starts one more reader with this port, without using the port on this machine.
    let set = [("PORT", "9090")];
    let run = ["run", "--detach", "--no-deps", "server"];
    let reader = started(&stack.composed_with(&set, &run).await);
    healthy(stack, &reader).await;
    let found = stack.docker.inspect(&reader).await;
    let address = &found["NetworkSettings"]["Networks"][stack.edge()]["IPAddress"];
    let address = address.as_str().expect("an address");
    let films = get(&format!("http://{address}:8080/films")).await.json();
    let link = films[0]["url"].as_str().expect("a link");
    assert!(link.starts_with("http://localhost:9090/films/"), "{link}");
    stack.docker.run(&["rm", "--force", &reader]).await;
}

/// All proxy variables that are set reach the poller. An empty one would hide its namesake.
pub(crate) async fn proxies_reach_the_poller(stack: &Stack) {
    let environment = async |container: &str| {
        let found = stack.docker.inspect(container).await;
        let variables = found["Config"]["Env"].as_array().expect("variables").iter();
        let variables = variables.map(|variable| variable.as_str().expect("text").to_owned());
        // For Docker, a name alone means that the variable is not set.
        variables.filter(|it| it.contains('=')).collect::<Vec<_>>()
    };
    for variable in environment(&stack.container("poller").await).await {
        let name = variable.split('=').next().expect("a name");
        assert!(!PROXIES.contains(&name), "{variable}");
    }

    let values: Vec<_> = (1..=PROXIES.len())
        .map(|number| format!("http://proxy{number}.example:3128"))
        .collect();
    let set: Vec<_> = PROXIES
        .into_iter()
        .zip(values.iter().map(String::as_str))
        .collect();
    let run = ["run", "--detach", "--no-deps", "poller", "--help"];
    let poller = started(&stack.composed_with(&set, &run).await);
    let variables = environment(&poller).await;
    for (name, value) in set {
        let expected = format!("{name}={value}");
        assert!(variables.contains(&expected), "{expected}: {variables:?}");
    }
    stack.docker.run(&["rm", "--force", &poller]).await;
}

/// The container's id, on the last line that `run --detach` prints.
fn started(said: &str) -> String {
    said.lines().last().expect("a name").trim().to_owned()
}
