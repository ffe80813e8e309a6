//! Large groups: however many members there are, the answer is the whole of one moment, the same by every road, and right about each.

use http::{HeaderMap, HeaderValue, Method, header};
use lockstep_tests::{harness::postgres::Postgres, world::text};
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection, SqliteConnection};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};

use super::{Company, GROUP, Installation, body, found, on_each_database, patch};

/// More than one reading of the database, and more than one piece of an answer.
const MANY: u32 = 2_500;

/// An id of the right shape that names nobody.
fn stranger(number: u32) -> String {
    format!("01900000-0000-7000-8000-{number:012x}")
}

/// What a provider calls them: long, so that an answer is too.
fn name(number: u32) -> String {
    format!("{} \u{201c}{number}\u{201d}", "Somebody ".repeat(5))
}

async fn add(company: &Company, group: &str, members: &[Value]) {
    for members in members.chunks(5_000) {
        let add = patch(&json!([{ "op": "add", "path": "members", "value": members }]));
        body(company.scim.patch(&format!("/Groups/{group}"), &add).await, 204);
    }
}

/// A group of so many strangers.
async fn crowd(company: &Company, name_of_group: &str, count: u32) -> String {
    let group = company.group(name_of_group, &[]).await;
    let members: Vec<Value> = (0..count).map(|number| json!({ "value": stranger(number), "display": name(number) })).collect();
    add(company, &group, &members).await;
    group
}

/// Asks for a resource without reading the answer, of which the system takes very little on the client's behalf.
async fn ask(company: &Company, path: &str) -> TcpStream {
    let address = company.installation.provisioner.url().trim_start_matches("http://").parse().unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    // Of HTTP/1.0, so that the body is not in chunks.
    let request = format!("GET /scim/v2/{}{path} HTTP/1.0\r\nauthorization: Bearer {}\r\n\r\n", company.id, company.token());
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// The values of the members of a resource, in the order of the answer.
fn values(resource: &Value) -> Vec<String> {
    resource["members"].as_array().unwrap().iter().map(|member| text(member, "value")).collect()
}

/// How many members one page of groups has room for.
const ROOM: u32 = 400_000;

/// A group in which there are more than can be sent in a test.
const FILL: &str = "
    WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < $3)
    INSERT INTO group_members (workspace_id, group_id, member_id) SELECT $1, $2, 'member-' || n FROM numbers";

/// The names of a page of groups, and of each that comes behind it.
async fn pages(next: impl AsyncFn(&Value) -> Option<Value>, first: Value) -> Vec<String> {
    let (mut pages, mut page) = (Vec::new(), Some(first));
    while let Some(read) = page {
        let groups = read["Resources"].as_array().unwrap();
        assert_eq!(read["itemsPerPage"], groups.len());
        pages.push(groups.iter().map(|group| text(group, "displayName")).collect());
        page = next(&read).await;
    }
    pages
}

/// A list with a group that fills a page by itself is answered whole, in pages that it has room for.
async fn large_groups_are_listed_a_page_at_a_time(installation: &Installation, fill: impl AsyncFnOnce(&str, &str)) {
    let scim = installation.workspace("crowded").await;
    let mut ids = Vec::new();
    for (name, size) in [("A", 2), ("B", 0), ("C", 1), ("D", 0)] {
        let members: Vec<Value> = (0..size).map(|number| json!({ "value": stranger(number) })).collect();
        let group = json!({ "schemas": [GROUP], "displayName": name, "members": members });
        ids.push(text(&body(scim.post("/Groups", &group).await, 201), "id"));
    }
    fill("crowded", &ids[1]).await;
    // Nothing is known of the type of strangers: they are read, but the answer is short.
    let shown = "attributes=displayName,members.type";
    let by_index = async |query: &str| {
        let get = async |start: u64| body(scim.get(&format!("/Groups?{shown}&startIndex={start}{query}")).await, 200);
        let next = async |page: &Value| {
            let start = page["startIndex"].as_u64().unwrap() + page["itemsPerPage"].as_u64().unwrap();
            if start > page["totalResults"].as_u64().unwrap() { None } else { Some(get(start).await) }
        };
        pages(next, get(1).await).await
    };
    let by_cursor = async |query: &str| {
        let get = async |cursor: &str| body(scim.get(&format!("/Groups?{shown}&cursor={cursor}{query}")).await, 200);
        let next = async |page: &Value| Some(get(page["nextCursor"].as_str()?).await);
        pages(next, get("").await).await
    };

    assert_eq!(by_index("").await, ["A", "B", "CD"]);
    assert_eq!(by_cursor("").await, ["A", "B", "CD"]);
    assert_eq!(by_index("&filter=displayName%20le%20%22B%22").await, ["A", "B"]);
    assert_eq!(by_cursor("&sortBy=displayName&sortOrder=descending").await, ["DC", "B", "A"]);
    let search = json!({ "attributes": ["displayName", "members.type"], "sortBy": "displayName" });
    let found = body(scim.post("/Groups/.search", &search).await, 200);
    assert_eq!((&found["itemsPerPage"], &found["totalResults"]), (&json!(1), &json!(4)), "{found}");
    let without = body(scim.get("/Groups?excludedAttributes=members").await, 200);
    assert_eq!(without["itemsPerPage"], 4, "who is not shown takes no room");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_groups_are_listed_a_page_at_a_time_on_sqlite() {
    let installation = Installation::on_sqlite().await;
    let url = format!("sqlite://{}/lockstep.db", installation.site.folder().display());

    large_groups_are_listed_a_page_at_a_time(&installation, async |workspace, group| {
        let mut database = SqliteConnection::connect(&url).await.unwrap();
        sqlx::query(FILL).bind(workspace).bind(group).bind(ROOM).execute(&mut database).await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_groups_are_listed_a_page_at_a_time_on_postgres() {
    let database = Postgres::shared().await.unwrap().database().await.unwrap();
    let installation = Installation::on_postgres(&database).await;

    large_groups_are_listed_a_page_at_a_time(&installation, async |workspace, group| {
        let mut database = PgConnection::connect(database.url()).await.unwrap();
        let room = i32::try_from(ROOM).unwrap();
        sqlx::query(FILL).bind(workspace).bind(group).bind(room).execute(&mut database).await.unwrap();
    })
    .await;
}

on_each_database! {
    async fn an_answer_that_is_read_slowly_is_of_the_moment_when_it_began(company: &Company) {
        const READ_SLOWLY: u32 = 15_000;
        let group = crowd(company, "Slow", READ_SLOWLY).await;
        let path = format!("/Groups/{group}");

        let mut answer = ask(company, &path).await;
        let mut head = [0; 12];
        answer.read_exact(&mut head).await.unwrap();
        body(company.scim.delete(&path).await, 204);
        let mut rest = String::new();
        answer.read_to_string(&mut rest).await.unwrap();

        assert_eq!(&head, b"HTTP/1.0 200");
        let (_, resource) = rest.split_once("\r\n\r\n").unwrap();
        let resource: Value = serde_json::from_str(resource).unwrap();
        assert_eq!(values(&resource), (0..READ_SLOWLY).map(stranger).collect::<Vec<_>>());
        assert_eq!(resource["members"][7], json!({ "value": stranger(7), "display": name(7) }));
    }

    async fn a_large_group_is_the_same_by_every_road(company: &Company) {
        let (ada, inner) = (company.person("ada@acme.example").await, company.group("Inner", &[]).await);
        let group = crowd(company, "Large", MANY).await;
        add(company, &group, &[json!({ "value": ada }), json!({ "value": inner })]).await;
        let (scim, path) = (&company.scim, format!("/Groups/{group}"));

        let answer = scim.get(&path).await.unwrap();
        let (tag, place) = (answer.header("etag").to_owned(), answer.header("content-location").to_owned());
        assert_eq!((answer.header("cache-control"), answer.header("content-length")), ("no-store", ""));
        assert!(place.ends_with(&path), "{place}");
        let whole = body(Ok(answer), 200);

        let keys: Vec<&String> = whole.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["schemas", "id", "displayName", "members", "meta"]);
        assert_eq!(whole["meta"]["version"], tag.as_str());
        let mut expected: Vec<String> = (0..MANY).map(stranger).chain([ada.clone(), inner.clone()]).collect();
        expected.sort();
        assert_eq!(values(&whole), expected);
        let shown = |id: &str| whole["members"].as_array().unwrap().iter().find(|member| member["value"] == id).unwrap().clone();
        let base = place.strip_suffix(&path).unwrap();
        assert_eq!(shown(&stranger(9)), json!({ "value": stranger(9), "display": name(9) }));
        assert_eq!(
            (shown(&ada), shown(&inner)),
            (
                json!({ "value": ada, "$ref": format!("{base}/Users/{ada}"), "type": "User", "display": "ada@acme.example" }),
                json!({ "value": inner, "$ref": format!("{base}/Groups/{inner}"), "type": "Group", "display": "Inner" }),
            )
        );

        let list = "/Groups?filter=displayName%20eq%20%22Large%22";
        let by_search = json!({ "filter": "displayName eq \"Large\"" });
        let again = patch(&json!([{ "op": "add", "path": "members", "value": [{ "value": ada }] }]));
        let asked_for = "?attributes=id,displayName,members,meta,schemas";
        for (other, road) in [
            (body(scim.get(list).await, 200)["Resources"][0].clone(), "a list"),
            (body(scim.get(&format!("{list}&cursor=")).await, 200)["Resources"][0].clone(), "a walk"),
            (body(scim.get(&format!("{list}&sortBy=id")).await, 200)["Resources"][0].clone(), "an order"),
            (body(scim.post("/Groups/.search", &by_search).await, 200)["Resources"][0].clone(), "a search"),
            (body(scim.patch(&format!("{path}{asked_for}"), &again).await, 200), "a PATCH"),
            (body(scim.put(&path, &json!({ "schemas": [GROUP], "displayName": "Large" })).await, 200), "a PUT"),
        ] {
            assert!(other == whole, "{road}");
        }
        let put = json!({ "schemas": [GROUP], "displayName": "Large", "members": whole["members"] });
        assert!(body(scim.put(&path, &put).await, 200) == whole, "a PUT of what is there");

        let head = scim.send(Method::HEAD, &path, HeaderMap::new(), None).await.unwrap();
        assert_eq!((head.status.as_u16(), head.header("etag"), head.body.len()), (200, tag.as_str(), 0));
        let known = HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_str(&tag).unwrap())]);
        let unchanged = scim.send(Method::GET, &format!("{path}?excludedAttributes=members"), known, None).await.unwrap();
        assert_eq!((unchanged.status.as_u16(), unchanged.header("etag"), unchanged.body.len()), (304, tag.as_str(), 0));
    }

    async fn of_each_member_of_a_large_group_is_shown_what_is_asked_for(company: &Company) {
        let ada = company.person("ada@acme.example").await;
        let group = crowd(company, "Parts", MANY).await;
        add(company, &group, &[json!({ "value": ada }), json!({ "value": stranger(MANY) })]).await;

        for (query, of_ada, of_a_stranger, count) in [
            ("attributes=members.value", json!({ "value": ada }), json!({ "value": stranger(3) }), MANY + 2),
            ("attributes=members.display", json!({ "display": "ada@acme.example" }), json!({ "display": name(3) }), MANY + 1),
            ("attributes=members.type", json!({ "type": "User" }), Value::Null, 1),
            (
                "excludedAttributes=members.$ref,members.display,meta",
                json!({ "value": ada, "type": "User" }),
                json!({ "value": stranger(3) }),
                MANY + 2,
            ),
        ] {
            for path in [format!("/Groups/{group}?{query}"), format!("/Groups?filter=displayName%20eq%20%22Parts%22&{query}")] {
                let shown = body(company.scim.get(&path).await, 200);
                let shown = shown.get("Resources").map_or(&shown, |resources| &resources[0]);
                let members = shown["members"].as_array().unwrap();

                assert_eq!(members.len(), usize::try_from(count).unwrap(), "{path}");
                assert!(members.contains(&of_ada), "{path}");
                assert!(of_a_stranger.is_null() || members.contains(&of_a_stranger), "{path}");
            }
        }
    }

    async fn a_filter_is_right_about_each_member_of_a_large_group(company: &Company) {
        let (ada, bob) = (company.person("ada@acme.example").await, company.person("bob@acme.example").await);
        let inner = company.group("Inner", &[]).await;
        let (large, small) = (crowd(company, "Large", MANY).await, company.group("Small", &[&bob]).await);
        add(company, &large, &[json!({ "value": ada }), json!({ "value": inner })]).await;
        let last = stranger(MANY - 1);

        for (filter, expected) in [
            (format!("members eq \"{ada}\""), "large"),
            (format!("members.value eq \"{bob}\""), "small"),
            (format!("members[value eq \"{ada}\" and type eq \"User\"]"), "large"),
            (format!("members[value eq \"{ada}\" and type eq \"Group\"]"), ""),
            (format!("members[value eq \"{}\"]", ada.to_uppercase()), ""),
            (format!("id eq \"{large}\" and members eq \"{last}\""), "large"),
            (format!("id eq \"{large}\" and members eq \"{bob}\""), ""),
            (format!("id eq \"{large}\" and not (members eq \"{bob}\")"), "large"),
            (format!("id eq \"{large}\" and members ne \"{last}\""), ""),
            (format!("members eq \"{ada}\" and members eq \"{last}\""), "large"),
            (format!("members eq \"{ada}\" and members eq \"{bob}\""), ""),
            (format!("members eq \"{bob}\" or members.display co \"\u{201c}{}\u{201d}\"", MANY - 1), "large small"),
            ("members.type eq \"Group\"".to_owned(), "large"),
            ("members[display sw \"somebody\" and not (type pr)]".to_owned(), "large"),
            ("members pr and not (members.type eq \"Group\")".to_owned(), "small"),
            ("not (members pr)".to_owned(), "inner"),
            (format!("displayName sw \"l\" and members.value gt \"{last}\""), "large"),
        ] {
            let query = json!({ "filter": filter, "excludedAttributes": "members" });
            let answer = body(company.scim.post("/Groups/.search", &query).await, 200);
            let groups = answer["Resources"].as_array().unwrap();
            let mut matched: Vec<String> = groups.iter().map(|group| text(group, "displayName")).collect();
            matched.sort();

            assert_eq!(matched.join(" ").to_lowercase(), expected, "{filter}");
        }
        let ordered = body(company.scim.get("/Groups?sortBy=members.value&excludedAttributes=members").await, 200);
        let ids: Vec<String> = ordered["Resources"].as_array().unwrap().iter().map(|group| text(group, "id")).collect();
        assert_eq!(ids, [large, small, inner], "by the first member, who is shown first; nobody comes last");
        assert_eq!(found(&company.scim, "", &format!("members eq \"{ada}\"")).await, 1, "among resources of all types");
    }
}
