//! Answers one request from the catalogue, or with the fault in force.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use http::{Method, Request, Response, StatusCode};

use super::body::{Body, JSON, plain, pretty};
use super::misbehave;
use super::state::State;
use super::target::Target;

/// Answers one request; an error breaks the connection.
pub(super) async fn answer<B>(
    state: &Arc<State>,
    request: &Request<B>,
    wants_reset: &Arc<AtomicBool>,
) -> Result<Response<Body>, std::io::Error> {
    state.journal.request(request);
    let target = Target::of(request.uri().path());
    let fault = state.faults().on(target.collection());
    if let Some(fault) = fault {
        return misbehave::answer(state, request, &target, fault, wants_reset).await;
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Ok(plain(state, request, StatusCode::NOT_FOUND, JSON, "{}"));
    }
    let text = target.find(&state.catalogue()).map(pretty);
    Ok(match text {
        Some(text) => plain(state, request, StatusCode::OK, JSON, &text),
        None => plain(state, request, StatusCode::NOT_FOUND, JSON, "{}"),
    })
}
