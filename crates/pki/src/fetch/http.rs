//! One HTTP/1.1 request on a connection of its own (RFC 9110, RFC 9112), its answer streamed into a sink.

use std::net::IpAddr;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use crate::fetch::FetchError;
use crate::fetch::connection::Connector;
use crate::fetch::fetcher::{Fetched, Validators};
use crate::location::HttpUrl;

/// What is asked for.
pub(crate) enum Ask<'a> {
    /// GET, unless it is still what the validators say.
    Get(Option<&'a Validators>),
    /// POST of an OCSP request (RFC 6960 appendix A).
    Ocsp(&'a [u8]),
    /// POST of a form, by whom the server knows.
    Form(Form<'a>),
    /// POST of content of a type that is given, where any success will do.
    Content(&'static str, &'a [u8]),
}

/// A form to be posted, with secrets in it.
#[derive(Clone, Copy)]
pub struct Form<'a> {
    /// The Authorization field's value; none is sent when absent.
    pub authorization: Option<&'a str>,
    /// `application/x-www-form-urlencoded`.
    pub body: &'a str,
}

/// What came of a request.
pub(crate) enum Answer {
    Done(Fetched),
    Redirect(HttpUrl),
}

/// Sends one request; redirects are the caller's to follow.
pub(crate) async fn ask(
    connector: &Connector,
    (url, at): (&HttpUrl, &[IpAddr]),
    ask: &Ask<'_>,
    max_size: u64,
    sink: &mut (impl AsyncWrite + Unpin),
) -> Result<Answer, FetchError> {
    let stream = connector.connect(url.host(), url.port(), url.is_https(), at).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(FetchError::protocol)?;
    let exchange = async {
        let response = sender.send_request(request(url, ask)?).await.map_err(FetchError::protocol)?;
        // RFC 8460 section 3: "typically a 200 or 201".
        if matches!(ask, Ask::Content(..)) && response.status().is_success() {
            return Ok(Answer::Done(Fetched::NotModified));
        }
        read(url, response, max_size, sink).await
    };
    // The connection lives as long as the exchange: nothing is left running behind it.
    tokio::pin!(connection, exchange);
    let mut closed = false;
    loop {
        tokio::select! {
            biased;
            answer = &mut exchange => return answer,
            // Its errors reach the exchange.
            _ = &mut connection, if !closed => closed = true,
        }
    }
}

fn request(url: &HttpUrl, ask: &Ask<'_>) -> Result<Request<Full<Bytes>>, FetchError> {
    let mut request = Request::builder().uri(url.target()).header(header::HOST, url.authority());
    request = request.header(header::USER_AGENT, concat!("postern/", env!("CARGO_PKG_VERSION")));
    request = request.header(header::CONNECTION, "close");
    let body = match ask {
        Ask::Get(validators) => {
            let etag = validators.and_then(|validators| validators.etag.as_deref());
            let modified = validators.and_then(|validators| validators.last_modified.as_deref());
            for (name, value) in [(header::IF_NONE_MATCH, etag), (header::IF_MODIFIED_SINCE, modified)] {
                if let Some(value) = value {
                    request = request.header(name, value);
                }
            }
            request = request.method(Method::GET).header(header::ACCEPT, "*/*");
            Bytes::new()
        }
        Ask::Ocsp(octets) => {
            request = request.method(Method::POST).header(header::CONTENT_TYPE, "application/ocsp-request");
            request = request.header(header::ACCEPT, "application/ocsp-response");
            Bytes::copy_from_slice(octets)
        }
        Ask::Form(form) => {
            if let Some(authorization) = form.authorization {
                let mut value = HeaderValue::from_str(authorization).map_err(FetchError::protocol)?;
                value.set_sensitive(true);
                request = request.header(header::AUTHORIZATION, value);
            }
            request = request.method(Method::POST).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
            request = request.header(header::ACCEPT, "application/json");
            Bytes::copy_from_slice(form.body.as_bytes())
        }
        Ask::Content(kind, octets) => {
            request = request.method(Method::POST).header(header::CONTENT_TYPE, *kind);
            Bytes::copy_from_slice(octets)
        }
    };
    request.body(Full::new(body)).map_err(FetchError::protocol)
}

async fn read(
    url: &HttpUrl,
    mut response: Response<Incoming>,
    max_size: u64,
    sink: &mut (impl AsyncWrite + Unpin),
) -> Result<Answer, FetchError> {
    let field = |name: HeaderName| text(response.headers(), name);
    match response.status() {
        StatusCode::OK => {}
        StatusCode::NOT_MODIFIED => return Ok(Answer::Done(Fetched::NotModified)),
        StatusCode::MOVED_PERMANENTLY
        | StatusCode::FOUND
        | StatusCode::SEE_OTHER
        | StatusCode::TEMPORARY_REDIRECT
        | StatusCode::PERMANENT_REDIRECT => {
            let to = field(header::LOCATION).ok_or_else(|| FetchError::protocol("a redirect to nowhere"))?;
            let target = url.join(&to).map_err(|_| FetchError::Redirect {
                to: to.chars().take(200).collect(),
                why: "only http and https are followed",
            })?;
            return Ok(Answer::Redirect(target));
        }
        status => return Err(FetchError::Refused(format!("HTTP {status}"))),
    }
    if field(header::CONTENT_ENCODING).is_some_and(|coding| !coding.eq_ignore_ascii_case("identity")) {
        return Err(FetchError::protocol("a content coding that was not asked for"));
    }
    let validators = Validators { etag: field(header::ETAG), last_modified: field(header::LAST_MODIFIED) };
    let promised = hyper::body::Body::size_hint(response.body()).lower();
    let mut octets = 0_u64;
    if promised > max_size {
        return Err(FetchError::TooLarge(max_size));
    }
    while let Some(frame) = response.body_mut().frame().await {
        let Ok(data) = frame.map_err(|error| FetchError::protocol(cut_short(&error)))?.into_data() else { continue };
        octets = octets.saturating_add(data.len() as u64);
        if octets > max_size {
            return Err(FetchError::TooLarge(max_size));
        }
        sink.write_all(&data).await.map_err(|error| FetchError::io(&error))?;
    }
    sink.flush().await.map_err(|error| FetchError::io(&error))?;
    Ok(Answer::Done(Fetched::Body(validators)))
}

fn cut_short(error: &hyper::Error) -> String {
    if error.is_incomplete_message() || error.is_body_write_aborted() || error.is_closed() {
        "the answer is cut short".to_owned()
    } else {
        format!("the answer is cut short: {error}")
    }
}

/// A header field's value, if it is text of a sane length.
fn text(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    const MAX: usize = 2048;
    let value = headers.get(name)?.to_str().ok()?;
    (value.len() <= MAX).then(|| value.to_owned())
}
