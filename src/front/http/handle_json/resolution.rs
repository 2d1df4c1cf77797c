//! Questions about handles: what a query asks of one, and the reply that shows its values, for every face.

use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;

use super::denial::{ApiRefusal, Denial};
use super::json::openapi_schema::{Flag, IndexNumber, TypeName};
use super::json::value::ValueJson;
use super::reply::{self, Format, HandleReply};
use super::state::HandleState;
use crate::authority::caller::Caller;
use crate::front::handle_semantics::name;
use crate::front::handle_semantics::question::{self, Elsewhere, Hidden, QuestionOutcome, Wanted};
use crate::front::handle_semantics::referral::{self, Direction, ReferralWish};
use crate::front::http::transport::condition::{Conditions, ReadOutcome, RecordState, add_tag};
use crate::front::http::transport::deadline::Deadline;
use crate::front::http::transport::extract::KnownParameters;
use crate::front::http::transport::query::clip;
use crate::model::identifier::Identifier;
use crate::model::limits::VALUES_MAX;
use crate::model::refusal::Refusal;
use crate::model::value::{Index, ValueType};
use crate::resolver::answer::{Answer, Found, Question};
use crate::resolver::recursion::Recursion;

/// The handle that a path names. Without a slash it is a prefix, whose own handle is under `0.NA`.
pub(in crate::front::http) fn parse_handle(text: &str) -> Result<Identifier, Denial> {
    if text.is_empty() {
        return Err(ApiRefusal::EmptyHandle.into());
    }
    Ok(name::identifier_of(text)?)
}

//----------- HandleResolution -----------------------------------------------

/// What a question asks for.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", default)]
#[into_params(parameter_in = Query)]
pub(in crate::front::http) struct ResolveParameters {
    /// Indexes of the values to show; together with `type`, the union is shown.
    #[param(value_type = Option<Vec<IndexNumber>>)]
    index: Vec<String>,
    /// Types of the values to show; a type that ends in a dot selects the family.
    #[param(value_type = Option<Vec<TypeName>>)]
    r#type: Vec<String>,
    /// Whether only an authoritative answer is accepted; then no other node is asked.
    #[param(value_type = Option<Flag>)]
    auth: bool,
    /// Only values that everybody may read; the default without proof.
    #[param(value_type = Option<Flag>)]
    public_only: Option<bool>,
    /// No referral to another service.
    #[param(value_type = Option<Flag>)]
    do_not_refer: bool,
    /// Whether the reply is indented for people.
    #[param(value_type = Option<Flag>)]
    pretty: Option<bool>,
    /// A function to be called with the reply (JSONP).
    callback: Option<String>,
}

impl KnownParameters for ResolveParameters {
    /// `cert` is that of other servers, which certify answers; here it has no effect.
    const NAMES: &'static [&'static str] =
        &["index", "type", "auth", "publicOnly", "doNotRefer", "pretty", "callback", "cert"];
}

impl ResolveParameters {
    /// The question about an identifier.
    fn question(&self, identifier: Identifier) -> Result<Question, Denial> {
        let types = self.r#type.iter().map(|text| ValueType::new(text).map_err(Denial::from));
        let types = bounded(types.collect::<Result<Vec<_>, _>>()?, "type")?;
        Ok(Question { identifier, indexes: parse_indexes(&self.index)?, types })
    }
}

/// Indexes as a query names them.
pub(in crate::front::http) fn parse_indexes(texts: &[String]) -> Result<Vec<Index>, Denial> {
    let parse = |text: &String| {
        let number = text.parse().ok().and_then(|number| Index::new(number).ok());
        number
            .ok_or_else(|| Denial::malformed(&format!("index {:?} is not from 1 to 2147483647", clip(text))))
    };
    bounded(texts.iter().map(parse).collect::<Result<Vec<_>, _>>()?, "index")
}

/// Indexes or types of one question: at most as many as an identifier has values.
fn bounded<T>(items: Vec<T>, name: &str) -> Result<Vec<T>, Denial> {
    if items.len() > VALUES_MAX {
        return Err(Denial::malformed(&format!("{name} is given more than {VALUES_MAX} times")));
    }
    Ok(items)
}

/// What everybody may see of a handle.
pub(in crate::front::http) async fn ask(
    api: &HandleState,
    parameters: &ResolveParameters,
    identifier: Identifier,
    deadline: &Deadline,
) -> Result<Answer, Denial> {
    answer(api, parameters, &Caller::Anonymous, identifier, deadline).await
}

/// Asks what a query asks of a handle; other nodes too, unless an authoritative answer is wished.
async fn answer(
    api: &HandleState,
    parameters: &ResolveParameters,
    caller: &Caller,
    identifier: Identifier,
    deadline: &Deadline,
) -> Result<Answer, Denial> {
    let question = parameters.question(identifier)?;
    if parameters.auth {
        return Ok(api.resolver.answer(caller, &question).await?);
    }
    let recursion = Recursion { deadline: Some(deadline.end()), ..Recursion::default() };
    Ok(api.resolver.recurse(caller, &question, recursion).await?)
}

/// Which values a query wants: without the parameter, public ones for a caller without proof and all for the holder of a
/// key. A token sees what it may: it has no HS_ADMIN that could be changed to name it.
fn wanted(parameters: &ResolveParameters, caller: &Caller) -> Wanted {
    match (parameters.public_only, caller) {
        (Some(true), _) | (None, Caller::Anonymous) => Wanted::Public,
        (Some(false), _) | (None, Caller::Identity(_)) => Wanted::All,
        (None, Caller::Node | Caller::Token(_)) => Wanted::Permitted,
    }
}

/// One question about a handle, and the form of its reply.
#[derive(Clone, Copy)]
pub(in crate::front::http) struct HandleResolution<'r> {
    pub(in crate::front::http) api: &'r HandleState,
    /// The handle, as the request spelled it.
    pub(in crate::front::http) handle: &'r str,
    pub(in crate::front::http) parameters: &'r ResolveParameters,
    pub(in crate::front::http) format: &'r Format,
    pub(in crate::front::http) deadline: &'r Deadline,
}

impl HandleResolution<'_> {
    /// Answers the question for a caller.
    pub(in crate::front::http) async fn run(
        self,
        caller: Caller,
        conditions: &Conditions,
    ) -> Result<Response, Denial> {
        let identifier = parse_handle(self.handle)?;
        let wanted = wanted(self.parameters, &caller);
        let caller = if wanted == Wanted::Public { Caller::Anonymous } else { caller };
        let answer = answer(self.api, self.parameters, &caller, identifier, self.deadline).await?;
        self.show(question::outcome(answer, wanted, &caller), conditions).await
    }

    /// Shows the outcome of a question.
    pub(in crate::front::http) async fn show(
        self,
        outcome: QuestionOutcome,
        conditions: &Conditions,
    ) -> Result<Response, Denial> {
        match outcome {
            QuestionOutcome::Values(found) => self.found(found, conditions),
            QuestionOutcome::NoValues => {
                Ok(reply::ok(&HandleReply::of_values(self.handle, Vec::new()), self.format))
            }
            QuestionOutcome::NoIdentifier => Err(Refusal::Absent.into()),
            QuestionOutcome::Hidden(Hidden::UntilProof) => Err(Refusal::Unauthenticated.into()),
            QuestionOutcome::Hidden(hidden) => Err(ApiRefusal::Hidden(hidden).into()),
            QuestionOutcome::Elsewhere(elsewhere) => self.refer(elsewhere).await,
        }
    }

    /// Shows the values that were found, unless the client has them already.
    fn found(self, found: Found, conditions: &Conditions) -> Result<Response, Denial> {
        let values = ValueJson::all(found.values);
        let text = reply::write(&HandleReply::of_values(self.handle, values), self.format)?;
        let state = RecordState { version: found.version, changed_ms: found.changed_ms };
        let tag = state.tag(text.as_bytes());
        let mut response = match conditions.judge_read(&tag) {
            ReadOutcome::Shown => reply::written(text, self.format),
            ReadOutcome::NotModified => reply::not_modified(),
            ReadOutcome::Failed => return Err(ApiRefusal::RepresentationChanged.into()),
        };
        add_tag(&mut response, tag);
        Ok(response)
    }

    /// Names the service that answers, with the values by which clients find it, unless the caller wishes no referral.
    async fn refer(self, elsewhere: Elsewhere) -> Result<Response, Denial> {
        let declined = self.parameters.do_not_refer;
        let wish = if declined { ReferralWish::Decline } else { ReferralWish::Follow };
        let service = match referral::direct(&self.api.resolver, elsewhere, wish).await? {
            Direction::Service(service) => service,
            Direction::NotResponsible { .. } => return Err(ApiRefusal::NotResponsible.into()),
            Direction::Unanswered(unanswered) => return Err(unanswered.into()),
        };
        Ok(reply::referral((&parse_handle(self.handle)?, self.handle), &service, self.format))
    }
}
