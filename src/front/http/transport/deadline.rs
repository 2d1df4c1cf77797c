//! The deadline of a request: one for all that is done for it, from its head to its answer.
//!
//! ```text
//!   head ─┬─ body ─── BODY_MAX
//!         └─ body, caller, other nodes, command, native message ─── REQUEST_MAX ─ the answer, ANSWER_GRACE ─▶ cut off
//! ```
//! What is done for a request gets its end, and answers when that passes: a question as unanswered, a command as an unknown
//! outcome. What does not is cut off shortly after, and a command may be under way then: that is reported as an unknown
//! outcome, too, never as if nothing had been done.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use tokio::time::Instant;

use super::context::RequestContext;
use super::rejection::Rejection;
use crate::model::refusal::Failure;

/// How long a request may take, its body included.
const REQUEST_MAX: Duration = Duration::from_secs(45);
/// How long its body may take to come.
const BODY_MAX: Duration = Duration::from_secs(15);
/// How long an answer may take that reports the end.
const ANSWER_GRACE: Duration = Duration::from_secs(1);

const _: () = assert!(BODY_MAX.as_secs() < REQUEST_MAX.as_secs());

/// The deadline of one request. Clones belong to the same request.
#[derive(Clone, Debug)]
pub(in crate::front::http) struct Deadline {
    began: Instant,
    has_command: Arc<AtomicBool>,
}

impl Deadline {
    /// The deadline of a request whose head came now.
    pub(in crate::front::http) fn from(began: Instant) -> Self {
        Self { began, has_command: Arc::default() }
    }

    /// When the body has to be there.
    pub(in crate::front::http) fn of_body(&self) -> Instant {
        self.began + BODY_MAX
    }

    /// When everything ends that is done for the request.
    pub(in crate::front::http) fn end(&self) -> Instant {
        self.began + REQUEST_MAX
    }

    /// When the request is cut off that has not answered by itself.
    pub(super) fn cut(&self) -> Instant {
        self.end() + ANSWER_GRACE
    }

    /// The end of a command, which begins now.
    pub(in crate::front::http) fn begin_command(&self) -> Instant {
        self.has_command.store(true, Ordering::Relaxed);
        self.end()
    }

    /// What is known of a request that was cut off.
    pub(super) fn passed(&self) -> Rejection {
        if self.has_command.load(Ordering::Relaxed) {
            return Rejection::Failed(Failure::OutcomeUnknown { cause: "the deadline passed".to_owned() });
        }
        Rejection::TooLate
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Deadline {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Rejection> {
        deadline_of(parts)
    }
}

/// The deadline of a request.
pub(in crate::front::http) fn deadline_of(parts: &Parts) -> Result<Deadline, Rejection> {
    RequestContext::of(&parts.extensions).map(|context| context.deadline.clone())
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::net::SocketAddr;
    use std::sync::Arc;

    use axum::Router;
    use axum::extract::Request;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::Instant;

    use super::{ANSWER_GRACE, BODY_MAX, Deadline, Failure, REQUEST_MAX, Rejection, RequestContext};
    use crate::front::http::transport::Routes;
    use crate::front::http::transport::connection::Client;
    use crate::front::listen::budget::{MemoryBudget, MemoryLimits};

    #[test]
    fn a_request_that_is_cut_off_has_an_unknown_outcome_once_a_command_began() {
        let began = Instant::now();
        let deadline = Deadline::from(began);
        assert_eq!(deadline.passed(), Rejection::TooLate);
        let of_handler = deadline.clone();
        assert_eq!(of_handler.begin_command(), began + REQUEST_MAX);
        let unknown = Failure::OutcomeUnknown { cause: "the deadline passed".to_owned() };
        assert_eq!(deadline.passed(), Rejection::Failed(unknown));
        assert_eq!(deadline.of_body(), began + BODY_MAX);
        assert_eq!(deadline.cut(), deadline.end() + ANSWER_GRACE);
    }

    /// The answer to a GET of a path, of a handler whose deadline has passed and which never answers.
    async fn cut_off(path: &str) -> String {
        let long_ago =
            Instant::now().checked_sub(REQUEST_MAX + ANSWER_GRACE).expect("the machine runs longer");
        let budget = MemoryBudget::new(MemoryLimits { total: 0, source: 0, connection: 0 });
        let client = Client::of(SocketAddr::from(([127, 0, 0, 1], 80)), &budget);
        let question = || pending::<()>();
        let command = |deadline: Deadline| async move {
            deadline.begin_command();
            pending::<()>().await;
        };
        let router = Router::new().route("/question", get(question)).route("/command", get(command));
        let request =
            RequestContext { client: Arc::new(client), deadline: Deadline::from(long_ago), memory: Ok(()) };
        let routes = Arc::new(Routes::new(router));
        let router = Router::new().fallback(move |mut asked: Request| {
            asked.extensions_mut().insert(request.clone());
            let routes = Arc::clone(&routes);
            async move { routes.answer(asked).await }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let mut stream =
            TcpStream::connect(listener.local_addr().expect("an address")).await.expect("connected");
        let serving = tokio::spawn(async move { axum::serve(listener, router).await });
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("answered");
        serving.abort();
        answer
    }

    #[tokio::test]
    async fn a_request_that_never_answers_is_cut_off_and_tells_whether_its_command_began() {
        let question = cut_off("/question").await;
        assert!(question.starts_with("HTTP/1.1 503"), "{question}");
        assert!(question.contains("nothing was changed"), "{question}");
        let command = cut_off("/command").await;
        assert!(command.starts_with("HTTP/1.1 503"), "{command}");
        let unknown = Failure::OutcomeUnknown { cause: "the deadline passed".to_owned() };
        assert!(command.contains(&unknown.to_string()), "{command}");
    }
}
