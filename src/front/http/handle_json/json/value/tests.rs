//! Values to JSON and back.

use serde_json::{Value as Json, json};

use super::{ValueJson, Wrong, parse_values};
use crate::model::identifier::{Identifier, IdentifierError};
use crate::model::value::{Index, Permissions, Reference, Ttl, Value, ValueError, ValueType};

fn value(index: u32, value_type: &str, data: &[u8]) -> Value {
    Value {
        index: Index::new(index).expect("an index"),
        value_type: ValueType::new(value_type).expect("a type"),
        data: data.to_vec(),
        ttl: Ttl::default(),
        permissions: Permissions::DEFAULT,
        references: Vec::new(),
        timestamp: 1_704_067_200,
    }
}

/// Writes a value, compares, and reads it back.
fn check(value: &Value, expected: &Json) {
    let written = serde_json::to_value(ValueJson::of(value.clone())).expect("JSON");
    assert_eq!(&written, expected);
    let read = parse_values(&written).expect("what was written");
    assert!(read.len() == 1 && read.iter().all(|read| read.says_the_same(value)), "{read:?}");
}

#[test]
fn a_value_is_written_as_clients_read_it() {
    let mut plain = value(1, "URL", b"http://a");
    check(
        &plain,
        &json!({"index": 1, "type": "URL", "data": {"format": "string", "value": "http://a"},
            "ttl": 86400, "timestamp": "2024-01-01T00:00:00Z"}),
    );
    plain.permissions = Permissions::SECRET;
    plain.ttl = Ttl::Absolute(1_704_067_201);
    plain.timestamp = 0;
    let identifier = Identifier::parse("88.118.8/a").expect("an identifier");
    plain.references = vec![Reference { identifier, index: 7 }];
    check(
        &plain,
        &json!({"index": 1, "type": "URL", "data": {"format": "string", "value": "http://a"},
            "permissions": "1100", "ttl": "2024-01-01T00:00:01Z",
            "references": [{"handle": "88.118.8/a", "index": 7}]}),
    );
}

#[test]
fn several_values_are_written_as_each_alone() {
    let at = |index, timestamp| Value { timestamp, ..value(index, "URL", b"http://a") };
    let until = Value { ttl: Ttl::Absolute(1_704_067_201), ..at(4, 1_704_067_200) };
    let values = vec![at(1, 1_704_067_200), at(2, 1_704_067_200), at(3, 1_704_067_201), until, at(5, 0)];
    let alone: Vec<ValueJson> = values.iter().cloned().map(ValueJson::of).collect();
    assert_eq!(ValueJson::all(values), alone);
}

#[test]
fn data_is_text_where_it_is_printable() {
    let data = |bytes: &[u8]| {
        serde_json::to_value(ValueJson::of(value(1, "X", bytes))).expect("JSON").get("data").cloned()
    };
    assert_eq!(data("零件\t1".as_bytes()), Some(json!({"format": "string", "value": "零件\t1"})));
    assert_eq!(data(b"a\0b"), Some(json!({"format": "base64", "value": "YQBi"})));
    assert_eq!(data(&[0xff]), Some(json!({"format": "base64", "value": "/w=="})));
    assert_eq!(data(b""), Some(json!({"format": "string", "value": ""})));
}

#[test]
fn administrators_have_a_structure() {
    let hex = |text: &str| data_encoding::HEXLOWER.decode(text.as_bytes()).expect("hexadecimal");
    let bytes = hex("0fff0000000d302e4e412f38382e3131312e310000012c");
    let expected = |legacy: bool| {
        let mut admin = json!({"handle": "0.NA/88.111.1", "index": 300, "permissions": "111111111111"});
        if legacy {
            admin["legacyByteLength"] = json!(true);
        }
        json!({"index": 100, "type": "HS_ADMIN", "data": {"format": "admin", "value": admin},
            "ttl": 86400, "timestamp": "2024-01-01T00:00:00Z"})
    };
    check(&value(100, "HS_ADMIN", &bytes), &expected(false));
    check(&value(100, "HS_ADMIN", &[bytes.as_slice(), &[0, 0]].concat()), &expected(true));
    let list = hex("000000010000000d302e4e412f38382e3131312e310000012c");
    check(
        &value(200, "HS_VLIST", &list),
        &json!({"index": 200, "type": "HS_VLIST",
            "data": {"format": "vlist", "value": [{"handle": "0.NA/88.111.1", "index": 300}]},
            "ttl": 86400, "timestamp": "2024-01-01T00:00:00Z"}),
    );
    check(
        &value(100, "HS_ADMIN", b"no administrator"),
        &json!({"index": 100, "type": "HS_ADMIN", "data": {"format": "string", "value": "no administrator"},
            "ttl": 86400, "timestamp": "2024-01-01T00:00:00Z"}),
    );
}

#[test]
fn clients_write_permissions_of_administrators_in_many_ways() {
    let permissions = |given: Json| {
        let admin = json!({"handle": "0.NA/88.111.1", "index": "200", "permissions": given});
        let body = json!({"index": "100", "type": "HS_ADMIN", "data": {"format": "admin", "value": admin}});
        let values = parse_values(&body).expect("a value");
        serde_json::to_value(values.first().cloned().map(ValueJson::of)).expect("JSON")["data"]["value"]["permissions"]
            .as_str()
            .expect("a text")
            .to_owned()
    };
    assert_eq!(permissions(json!("011111110011")), "011111110011");
    assert_eq!(permissions(json!("*")), "111111111111");
    assert_eq!(permissions(json!(true)), "111111111111");
    assert_eq!(permissions(json!(2035)), "011111110011");
    assert_eq!(permissions(json!([1, 1, 0, 0, 1])), "000000010011");
    assert_eq!(permissions(Json::Null), "000000000000");
}

#[test]
fn data_comes_in_several_formats() {
    let data = |json: Json| {
        let body = json!([{"index": 1, "type": "X", "data": json}]);
        parse_values(&body)
            .map(|values| values.into_iter().map(|value| value.data).collect::<Vec<_>>().concat())
    };
    assert_eq!(data(json!("零")), Ok("零".as_bytes().to_vec()));
    assert_eq!(data(json!({"format": "STRING", "value": "a"})), Ok(b"a".to_vec()));
    assert_eq!(data(json!({"format": "base64", "value": "_-8"})), Ok(vec![0xff, 0xef]));
    assert_eq!(data(json!({"format": "base64", "value": "/+8=\n"})), Ok(vec![0xff, 0xef]));
    assert_eq!(data(json!({"format": "hex", "value": "fFeF"})), Ok(vec![0xff, 0xef]));
    for wrong in [
        json!(["http://a", "http://b"]),
        json!({"format": "base64", "value": "?"}),
        json!({"format": "hex", "value": "f"}),
        json!({"format": "none", "value": "f"}),
        json!({"value": "f"}),
    ] {
        assert!(matches!(data(wrong.clone()), Err(Wrong::Shape(_))), "{wrong}");
    }
}

#[test]
fn what_is_no_value_is_refused_by_what_is_wrong() {
    let error = |json: Json| parse_values(&json).expect_err("no values");
    let with = |name: &str, json: Json| {
        let mut value = json!({"index": 1, "type": "URL", "data": "x"});
        value[name] = json;
        value
    };
    assert_eq!(error(with("index", json!(0))), Wrong::Value(ValueError::Index { found: 0 }));
    for number in [-7, 1_i64 << 31, 4_294_967_297] {
        assert_eq!(error(with("index", json!(number))), Wrong::Value(ValueError::Index { found: number }));
    }
    assert_eq!(error(with("type", json!(""))), Wrong::Value(ValueError::Type { bytes: 0 }));
    assert_eq!(
        error(with("permissions", json!("111"))),
        Wrong::Value(ValueError::Permissions { found: "111".into() })
    );
    assert_eq!(
        error(with("references", json!([{"handle": "x", "index": 1}]))),
        Wrong::Identifier(IdentifierError::NoSlash)
    );
    for (name, json) in [
        ("index", json!(1.5)),
        ("index", json!(1e300)),
        ("type", json!(1)),
        ("ttl", json!(-1)),
        ("ttl", json!(4_294_967_296_u64)),
        ("ttl", json!("tomorrow")),
        ("ttl", json!([])),
        ("references", json!({})),
        ("permissions", json!(1110)),
    ] {
        assert!(matches!(error(with(name, json.clone())), Wrong::Shape(_)), "{name} {json}");
    }
    assert_eq!(
        error(with("index", json!(1.5))).to_string(),
        "\"index\" is 1.5, which is not a whole number in the accepted range"
    );
    assert!(matches!(error(json!("x")), Wrong::Shape(_)));
    assert!(matches!(error(json!({"values": {}})), Wrong::Shape(_)));
    assert!(matches!(error(json!([1])), Wrong::Shape(_)));
}

#[test]
fn a_misspelled_member_is_refused_wherever_it_stands() {
    let check = |body: Json, expected: &str| {
        assert_eq!(
            parse_values(&body).map_err(|wrong| wrong.to_string()),
            Err(expected.to_owned()),
            "{body}"
        );
    };
    let with = |name: &str, json: Json| {
        let mut value = json!({"index": 1, "type": "URL", "data": "x"});
        value[name] = json;
        value
    };
    let expected =
        "a value has the member \"premissions\", which is not known; did you mean \"permissions\"?";
    check(json!([with("premissions", json!("1100"))]), expected);
    check(json!({"values": [with("premissions", json!("1100"))]}), expected);
    check(with("premissions", json!("1100")), &expected.replace("a value", "the body"));
    let one = || json!([with("ttl", json!(60))]);
    check(
        json!({"vlaues": one()}),
        "the body has the member \"vlaues\", which is not known; did you mean \"values\"?",
    );
    check(
        json!({"values": one(), "comment": ""}),
        "the body has the member \"comment\", which is not known; known are handle, values, responseCode",
    );
    let data = |format: &str, value: Json| with("data", json!({"format": format, "value": value}));
    let did_you_mean = |what: &str, found: &str, meant: &str| {
        format!("{what} has the member {found:?}, which is not known; did you mean {meant:?}?")
    };
    let encoded = with("data", json!({"format": "hex", "value": "00", "valeu": "01"}));
    check(encoded, &did_you_mean("\"data\"", "valeu", "value"));
    let admin = json!({"handle": "88.118.8/a", "index": 1, "permission": "*"});
    check(data("admin", admin), &did_you_mean("an administrator", "permission", "permissions"));
    let list = json!([{"handle": "88.118.8/a", "idnex": 1}]);
    check(data("vlist", list.clone()), &did_you_mean("a reference", "idnex", "index"));
    check(with("references", list), &did_you_mean("a reference", "idnex", "index"));
    check(data("site", json!({"server": []})), &did_you_mean("a site", "server", "servers"));
    let server = |server: Json| data("site", json!({"servers": [server]}));
    check(server(json!({"adress": "127.0.0.1"})), &did_you_mean("a server", "adress", "address"));
    let interface = json!({"address": "127.0.0.1", "interfaces": [{"prot": 1}]});
    check(server(interface), &did_you_mean("an interface", "prot", "port"));
    check(data("site", json!({"attributes": [{"nam": "a"}]})), &did_you_mean("an attribute", "nam", "name"));
}

/// The forms that PYHANDLE and the clients of CNRI send.
#[test]
fn what_known_clients_send_is_taken() {
    let value = json!({"index": 1, "type": "URL", "data": {"format": "string", "value": "x"}, "ttl": 86400,
        "timestamp": "2024-01-01T00:00:00Z", "permissions": "1110", "references": []});
    for body in [
        json!([value]),
        json!({"values": [value]}),
        json!({"handle": "88.118.8/a", "values": [value]}),
        json!({"responseCode": 1, "handle": "88.118.8/a", "values": [value]}),
        value.clone(),
    ] {
        assert_eq!(parse_values(&body).map(|values| values.len()), Ok(1), "{body}");
    }
}

#[test]
fn a_secret_key_is_not_public_unless_said() {
    let values =
        parse_values(&json!({"index": 301, "type": "HS_SECKEY", "data": "password"})).expect("a value");
    assert!(values.iter().all(|value| value.permissions == Permissions::SECRET));
}
