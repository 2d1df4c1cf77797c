//! Permissions: what each bit of an HS_ADMIN value allows, and what is refused without it, is the same over UDP, TCP and
//! HTTP. Whoever asks proves itself with a secret key of one record, a key for each case.

use data_encoding::BASE64;
use idnode::authority::caller::Caller;
use idnode::model::identifier::{Identifier, Prefix};
use idnode::model::identity::{AdminPermissions, Administrator, Identity};
use idnode::model::value::{Index, Permissions, Ttl, Value, ValueType, Values};
use idnode::registry::command::{Command, Existing, Precondition, PrefixCommand, Register, Target};
use idnode::wire::handle::administrator::{encode_administrator, encode_identities};
use idnode::wire::handle::body::HandleAndIndexes;
use idnode::wire::handle::code::{OpCode, OpFlags};
use idnode::wire::handle::value::WireValue;
use serde_json::json;

use crate::http::front_end::{Client, FrontEnd};
use crate::support::handle::{
    Ask, Request, Signer, SignerKey, TcpClient, UdpClient, with_handle, with_values,
};

/// The record that holds the keys.
const KEYS: &str = "88.118.8/KEYS";
const PASSWORD: &str = "a password";
/// The key that no HS_ADMIN value names.
const OTHER_PARTY: u32 = 600;
/// The key that only a list within a list names, which may do everything.
const MEMBER: u32 = 601;

/// The key that may do nothing but this.
fn only(bit: u32) -> u32 {
    400 + bit
}

/// The key that may do everything but this.
fn all_but(bit: u32) -> u32 {
    500 + bit
}

//----------- What is asked for ----------------------------------------------

/// What needs a permission.
#[derive(Clone, Copy, Debug)]
enum Need {
    /// Register an identifier.
    Create,
    /// Remove the identifier.
    Remove,
    /// Register the record of a prefix below.
    CreatePrefix,
    /// Remove the record of a prefix below.
    RemovePrefix,
    /// Change, remove and add a value.
    Modify,
    Take,
    Add,
    /// Change, remove and add an administrator.
    ModifyAdmin,
    TakeAdmin,
    AddAdmin,
    /// Make an administrator of a plain value, and a plain value of an administrator.
    Promote,
    Demote,
    /// Read what is hidden.
    Read,
    /// List the identifiers of a prefix.
    List,
}

/// Indexes of what a target holds: a value to change, one to remove, a hidden one, administrators to change and remove.
const PLAIN: u32 = 1;
const SPARE: u32 = 2;
const HIDDEN: u32 = 4;
const FREE: u32 = 5;
const ADMIN: u32 = 2_000;
const SPARE_ADMIN: u32 = 2_001;
const FREE_ADMIN: u32 = 2_002;

/// Which bit each needs; two of them need two.
const NEEDS: &[(Need, AdminPermissions)] = &[
    (Need::Create, AdminPermissions::ADD_IDENTIFIER),
    (Need::Remove, AdminPermissions::DELETE_IDENTIFIER),
    (Need::CreatePrefix, AdminPermissions::ADD_DERIVED_PREFIX),
    (Need::RemovePrefix, AdminPermissions::DELETE_IDENTIFIER),
    (Need::Modify, AdminPermissions::MODIFY_VALUE),
    (Need::Take, AdminPermissions::REMOVE_VALUE),
    (Need::Add, AdminPermissions::ADD_VALUE),
    (Need::ModifyAdmin, AdminPermissions::MODIFY_ADMIN),
    (Need::TakeAdmin, AdminPermissions::REMOVE_ADMIN),
    (Need::AddAdmin, AdminPermissions::ADD_ADMIN),
    (Need::Read, AdminPermissions::READ_VALUE),
    (Need::List, AdminPermissions::LIST_IDENTIFIERS),
];

impl Need {
    /// The target: one of its own for each case and front end.
    fn target(self, case: &str) -> String {
        match self {
            Self::CreatePrefix => format!("0.NA/88.118.8.new-{case}"),
            Self::RemovePrefix => format!("0.NA/88.118.8.{case}"),
            Self::List => "88.118.7".to_owned(),
            Self::Create => format!("88.118.8/new-{case}"),
            _ => format!("88.118.8/{case}"),
        }
    }

    /// Whether its target is there beforehand.
    fn has_target(self) -> bool {
        !matches!(self, Self::Create | Self::CreatePrefix | Self::List)
    }
}

//----------- What is held ---------------------------------------------------

fn value(index: u32, kind: &str, data: Vec<u8>, permissions: u8) -> Value {
    Value {
        index: Index::new(index).expect("an index"),
        value_type: ValueType::new(kind).expect("a type"),
        data,
        ttl: Ttl::default(),
        permissions: Permissions::from_bits(permissions),
        references: Vec::new(),
        timestamp: 0,
    }
}

fn identity(index: u32, name: &str) -> Identity {
    Identity { index, identifier: Identifier::parse(name).expect("an identifier") }
}

fn administrator(permissions: AdminPermissions, identity: Identity) -> Vec<u8> {
    encode_administrator(&Administrator { permissions, identity })
}

fn without(bit: AdminPermissions) -> AdminPermissions {
    AdminPermissions::from_bits(AdminPermissions::ALL.bits() & !bit.bits())
}

/// An HS_ADMIN value for every key but that of the other party.
fn administrators() -> Vec<Value> {
    let mut values = vec![value(
        1_000,
        "HS_ADMIN",
        administrator(AdminPermissions::ALL, identity(200, "88.118.8/LIST")),
        0xe,
    )];
    for bit in 0..12 {
        let one = AdminPermissions::from_bits(1 << bit);
        for (key, permissions) in [(only(bit), one), (all_but(bit), without(one))] {
            values.push(value(1_000 + key, "HS_ADMIN", administrator(permissions, identity(key, KEYS)), 0xe));
        }
    }
    values
}

fn target() -> Vec<Value> {
    let mut values = administrators();
    let nobody = || administrator(AdminPermissions::NONE, identity(1, "88.118.8/nobody"));
    values.extend([
        value(PLAIN, "URL", b"u".to_vec(), 0xe),
        value(SPARE, "URL", b"u".to_vec(), 0xe),
        value(HIDDEN, "NOTE", b"hidden".to_vec(), 0xc),
        value(6, "NOTE", b"for nobody to change".to_vec(), 0xa),
        value(7, "NOTE", b"for everybody to change".to_vec(), 0xf),
        value(ADMIN, "HS_ADMIN", nobody(), 0xe),
        value(SPARE_ADMIN, "HS_ADMIN", nobody(), 0xe),
    ]);
    values
}

async fn register(front_end: &FrontEnd, name: &str, values: Vec<Value>) {
    let register = Register {
        target: Target::Named(Identifier::parse(name).expect("an identifier")),
        values: Values::new(values).expect("values"),
        existing: Existing::Refuse,
        precondition: Precondition::None,
    };
    let registry = front_end.node().registry();
    registry.apply_one(&Caller::Node, Command::Register(register)).await.expect("registered");
}

async fn open() -> FrontEnd {
    let front_end = FrontEnd::open().await;
    let home = PrefixCommand::Home { prefix: Prefix::parse("88.118.7").expect("a prefix"), registrant: None };
    front_end.node().registry().apply_one(&Caller::Node, Command::Prefix(home)).await.expect("homed");
    let keys = (0..12).flat_map(|bit| [only(bit), all_but(bit)]).chain([OTHER_PARTY, MEMBER]);
    let secret = |index| value(index, "HS_SECKEY", PASSWORD.as_bytes().to_vec(), 0xc);
    register(&front_end, KEYS, keys.map(secret).collect()).await;
    let list = |index: u32, of: Identity| value(index, "HS_VLIST", encode_identities(&[of]), 0xe);
    let lists = vec![list(200, identity(201, "88.118.8/LIST")), list(201, identity(MEMBER, KEYS))];
    register(&front_end, "88.118.8/LIST", lists).await;
    register(&front_end, "0.NA/88.118.8", administrators()).await;
    register(&front_end, "0.NA/88.118.7", administrators()).await;
    front_end
}

//----------- Asking ---------------------------------------------------------

fn signer(index: u32) -> Signer {
    Signer { user: KEYS.to_owned(), index, key: SignerKey::Secret(PASSWORD.as_bytes().to_vec()) }
}

/// The code that a key's request comes to.
fn by_handle(client: &mut impl Ask, key: u32, need: Need, target: &str) -> u64 {
    let admin = administrator(AdminPermissions::ALL, identity(9, KEYS));
    let url = |index| wire(index, "URL", b"changed");
    let named = |index| wire(index, "HS_ADMIN", &admin);
    let take = |index| {
        let body = HandleAndIndexes { handle: target.as_bytes(), indexes: vec![index] };
        Request::new(OpCode::REMOVE_VALUE, body.encode())
    };
    let request = match need {
        Need::Create | Need::CreatePrefix => with_values(OpCode::CREATE, target, vec![url(PLAIN)]),
        Need::Remove | Need::RemovePrefix => with_handle(OpCode::DELETE, target),
        Need::Modify => with_values(OpCode::MODIFY_VALUE, target, vec![url(PLAIN)]),
        Need::Take => take(SPARE),
        Need::Add => with_values(OpCode::ADD_VALUE, target, vec![url(FREE)]),
        Need::ModifyAdmin => with_values(OpCode::MODIFY_VALUE, target, vec![named(ADMIN)]),
        Need::TakeAdmin => take(SPARE_ADMIN),
        Need::AddAdmin => with_values(OpCode::ADD_VALUE, target, vec![named(FREE_ADMIN)]),
        Need::Promote => with_values(OpCode::MODIFY_VALUE, target, vec![named(PLAIN)]),
        Need::Demote => with_values(OpCode::MODIFY_VALUE, target, vec![url(ADMIN)]),
        Need::Read => Request::select(target, &[HIDDEN], &[]).without(OpFlags::PUBLIC_ONLY),
        Need::List => with_handle(OpCode::LIST_HANDLES, &format!("0.NA/{target}")),
    };
    let challenge = client.ask(&request);
    assert_eq!(challenge.code(), 402, "{need:?}: {}", challenge.sentence());
    client.ask(&signer(key).answer(&challenge)).code().into()
}

fn wire<'a>(index: u32, kind: &'static str, data: &'a [u8]) -> WireValue<'a> {
    WireValue { data, ..crate::support::handle::value(index, kind, b"") }
}

/// The code that a key's request comes to.
async fn by_http(client: &Client, need: Need, target: &str) -> u64 {
    let admin = BASE64.encode(&administrator(AdminPermissions::ALL, identity(9, KEYS)));
    let path = format!("/api/handles/{target}");
    let url = |index: u32| json!([{"index": index, "type": "URL", "data": "changed"}]);
    let named = |index: u32| json!([{"index": index, "type": "HS_ADMIN", "data": {"format": "base64", "value": admin}}]);
    let put = async |index: u32, overwrite: bool, values| {
        client.put(&format!("{path}?index={index}&overwrite={overwrite}"), values).await
    };
    let reply = match need {
        Need::Create | Need::CreatePrefix => client.put(&path, url(PLAIN)).await,
        Need::Remove | Need::RemovePrefix => client.delete(&path).await,
        Need::Modify => put(PLAIN, true, url(PLAIN)).await,
        Need::Take => client.delete(&format!("{path}?index={SPARE}")).await,
        Need::Add => put(FREE, false, url(FREE)).await,
        Need::ModifyAdmin => put(ADMIN, true, named(ADMIN)).await,
        Need::TakeAdmin => client.delete(&format!("{path}?index={SPARE_ADMIN}")).await,
        Need::AddAdmin => put(FREE_ADMIN, false, named(FREE_ADMIN)).await,
        Need::Promote => put(PLAIN, true, named(PLAIN)).await,
        Need::Demote => put(ADMIN, true, url(ADMIN)).await,
        Need::Read => client.get(&format!("{path}?index={HIDDEN}")).await,
        Need::List => client.get(&format!("/api/handles?prefix={target}")).await,
    };
    reply.code()
}

fn client(front_end: &FrontEnd, key: u32) -> Client {
    let shown = BASE64.encode(format!("{key}%3A{KEYS}:{PASSWORD}").as_bytes());
    front_end.tls().with("Authorization", &format!("Basic {shown}"))
}

/// The outcome of a key's request at each front end, on a target of its own.
async fn codes(front_end: &FrontEnd, key: u32, need: Need) -> [u64; 3] {
    let targets =
        ["udp", "tcp", "http"].map(|at| need.target(&format!("{at}-{key}-{need:?}").to_lowercase()));
    if need.has_target() {
        for name in &targets {
            register(front_end, name, target()).await;
        }
    }
    let handle = front_end.node().handle_addr().expect("a Handle address");
    let [udp, tcp, http] = &targets;
    [
        by_handle(&mut UdpClient::connect(handle), key, need, udp),
        by_handle(&mut TcpClient::connect(handle), key, need, tcp),
        by_http(&client(front_end, key), need, http).await,
    ]
}

//----------- Tests ----------------------------------------------------------

/// 400 is said to whom no HS_ADMIN value names, 401 to whom one names without the permission; of what is hidden both
/// hear 400, as from other servers.
#[tokio::test(flavor = "multi_thread")]
async fn each_permission_allows_the_same_at_every_front_end_and_nothing_else_does() {
    let front_end = open().await;
    for (need, bit) in NEEDS {
        let place = bit.bits().trailing_zeros();
        let missing = if matches!(need, Need::Read) { 400 } else { 401 };
        assert_eq!(codes(&front_end, only(place), *need).await, [1; 3], "{need:?}: nothing but this");
        assert_eq!(
            codes(&front_end, all_but(place), *need).await,
            [missing; 3],
            "{need:?}: everything but this"
        );
        assert_eq!(codes(&front_end, OTHER_PARTY, *need).await, [400; 3], "{need:?}: another party");
        assert_eq!(codes(&front_end, MEMBER, *need).await, [1; 3], "{need:?}: by a list within a list");
    }
    // Every bit was looked at but the one that no server of this protocol asks for.
    let asked = NEEDS.iter().fold(0, |bits, (_, bit)| bits | bit.bits());
    assert_eq!(asked, without(AdminPermissions::DELETE_DERIVED_PREFIX).bits());
    let unasked = AdminPermissions::DELETE_DERIVED_PREFIX.bits().trailing_zeros();
    assert_eq!(codes(&front_end, all_but(unasked), Need::RemovePrefix).await, [1; 3]);
    assert_eq!(codes(&front_end, only(unasked), Need::RemovePrefix).await, [401; 3]);
    front_end.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn turning_a_value_into_an_administrator_and_back_needs_both_permissions() {
    let front_end = open().await;
    let place = |bit: AdminPermissions| bit.bits().trailing_zeros();
    let (modify, add, remove) = (
        place(AdminPermissions::MODIFY_VALUE),
        place(AdminPermissions::ADD_ADMIN),
        place(AdminPermissions::REMOVE_ADMIN),
    );
    for (need, second, first) in [(Need::Promote, modify, add), (Need::Demote, modify, remove)] {
        for bit in [first, second] {
            assert_eq!(codes(&front_end, all_but(bit), need).await, [401; 3], "{need:?} without {bit}");
            assert_eq!(codes(&front_end, only(bit), need).await, [401; 3], "{need:?} by {bit} alone");
        }
        assert_eq!(codes(&front_end, MEMBER, need).await, [1; 3], "{need:?}");
    }
    front_end.close().await;
}

/// Whoever may not change what is hidden does not learn by trying whether it is what he guessed: a right guess and a
/// wrong one are refused alike, alone and beside a change that everybody may make.
#[tokio::test(flavor = "multi_thread")]
async fn a_guess_of_what_is_hidden_is_not_confirmed() {
    let front_end = open().await;
    register(&front_end, "88.118.8/guess", target()).await;
    let handle = front_end.node().handle_addr().expect("a Handle address");
    let (mut udp, mut tcp) = (UdpClient::connect(handle), TcpClient::connect(handle));
    let (nobody, other_party) = (front_end.tls(), client(&front_end, OTHER_PARTY));
    for guess in ["hidden", "wrong"] {
        let hidden = || WireValue { permissions: 0xc, ..wire(HIDDEN, "NOTE", guess.as_bytes()) };
        let open = || WireValue { permissions: 0xf, ..wire(7, "NOTE", guess.as_bytes()) };
        for values in [vec![hidden()], vec![open(), hidden()]] {
            for (op, flags) in
                [(OpCode::MODIFY_VALUE, OpFlags::NONE), (OpCode::ADD_VALUE, OpFlags::OVERWRITE)]
            {
                let request = || with_values(op, "88.118.8/guess", values.clone()).with(flags);
                for (at, answers) in [("UDP", tried(&mut udp, &request)), ("TCP", tried(&mut tcp, &request))]
                {
                    assert_eq!(answers, (402, 400), "{at}, {op}, {guess}: anonymous, another party");
                }
            }
        }
        let value = |index: u32, permissions: &str| json!({"index": index, "type": "NOTE", "data": guess, "permissions": permissions});
        for values in [json!([value(HIDDEN, "1100")]), json!([value(7, "1111"), value(HIDDEN, "1100")])] {
            let path = "/api/handles/88.118.8/guess?index=various";
            assert_eq!(nobody.put(path, values.clone()).await.code(), 402, "{guess}: nobody");
            assert_eq!(other_party.put(path, values).await.code(), 400, "{guess}: another party");
        }
    }
    // Whole records: as it is, and with another secret.
    let record = |secret: &str| json!([{"index": 4, "type": "NOTE", "data": secret, "permissions": "1100"}]);
    let path = "/api/handles/88.118.8/whole";
    register(&front_end, "88.118.8/whole", vec![value(4, "NOTE", b"hidden".to_vec(), 0xc)]).await;
    for guess in ["hidden", "wrong"] {
        assert_eq!(other_party.put(path, record(guess)).await.code(), 400, "{guess}");
        let exists = other_party.put(&format!("{path}?overwrite=false"), record(guess)).await;
        assert_eq!(exists.code(), 101, "{guess}");
        assert!(!exists.text().contains("the same values"), "{exists:?}");
    }
    front_end.close().await;
}

/// The outcome of a request that is anonymous, and of one by the other party.
fn tried(client: &mut impl Ask, request: &impl Fn() -> Request) -> (u32, u32) {
    let nobody = client.ask(&request()).code();
    let first = client.ask(&request());
    let other_party =
        if first.code() == 402 { client.ask(&signer(OTHER_PARTY).answer(&first)) } else { first };
    (nobody, other_party.code())
}

/// A value's own permissions: one that administrators may not write is not changed by them, one that everybody may write
/// is changed by nobody in particular.
#[tokio::test(flavor = "multi_thread")]
async fn the_permissions_of_values_count_the_same_at_every_front_end() {
    let front_end = open().await;
    for name in ["udp", "tcp", "http"] {
        register(&front_end, &format!("88.118.8/{name}"), target()).await;
    }
    let handle = front_end.node().handle_addr().expect("a Handle address");
    let (udp, mut tcp) = (UdpClient::connect(handle), TcpClient::connect(handle));
    let modify = |name: &str, index: u32| {
        with_values(OpCode::MODIFY_VALUE, &format!("88.118.8/{name}"), vec![wire(index, "NOTE", b"changed")])
    };
    let body = |index: u32| json!([{"index": index, "type": "NOTE", "data": "changed"}]);
    let path = |index: u32| format!("/api/handles/88.118.8/http?index={index}");
    let guarded = [
        // Nobody may, so that nobody is asked to prove anything.
        udp.ask(&modify("udp", 6)).code().into(),
        tcp.ask(&modify("tcp", 6)).code().into(),
        front_end.tls().put(&path(6), body(6)).await.code(),
        client(&front_end, MEMBER).put(&path(6), body(6)).await.code(),
    ];
    assert_eq!(guarded, [401_u64; 4]);
    // Its permissions are its administrators' decision: with others, even the usual ones, it is not everybody's to write.
    let with_other_permissions = [
        udp.ask(&modify("udp", 7)).code().into(),
        tcp.ask(&modify("tcp", 7)).code().into(),
        front_end.tls().put(&path(7), body(7)).await.code(),
    ];
    assert_eq!(with_other_permissions, [402_u64; 3]);
    let open_value = || WireValue { permissions: 0x0f, ..wire(7, "NOTE", b"changed") };
    let modify_open =
        |name: &str| with_values(OpCode::MODIFY_VALUE, &format!("88.118.8/{name}"), vec![open_value()]);
    let open_body = json!([{"index": 7, "type": "NOTE", "data": "changed", "permissions": "1111"}]);
    let open = [
        udp.ask(&modify_open("udp")).code().into(),
        tcp.ask(&modify_open("tcp")).code().into(),
        front_end.tls().put(&path(7), open_body).await.code(),
    ];
    assert_eq!(open, [1_u64; 3]);
    let plain = [
        udp.ask(&modify("udp", PLAIN)).code().into(),
        tcp.ask(&modify("tcp", PLAIN)).code().into(),
        front_end.tls().put(&path(PLAIN), body(PLAIN)).await.code(),
    ];
    assert_eq!(plain, [402_u64; 3]);
    front_end.close().await;
}
