//! A page as an answer. Handlers return a `Page` and stay free of HTML; the layer around them writes it, since it knows the
//! request's id.

use axum::{
    body::Body,
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, header};
use lockstep_shared::http::layers::RequestId;

use super::{Page, Problem, headers};

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        if let Self::Problem(problem) = &self
            && let Some(seconds) = problem.retry_after()
        {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// A middleware that writes the page which a handler answered with. To be inside of what gives requests their ids.
pub async fn render(request: Request, next: Next) -> Response {
    let id = request.extensions().get::<RequestId>().copied().unwrap_or_default();
    let mut response = next.run(request).await;
    match response.extensions_mut().remove::<Page>() {
        Some(page) => written(response, &page, id),
        None => response,
    }
}

/// What is answered in place of a panic.
#[must_use]
pub fn in_place_of_a_panic(id: RequestId) -> Response {
    let page = Page::Problem(Problem::Internal);
    written(page.status().into_response(), &page, id)
}

fn written(mut response: Response, page: &Page, id: RequestId) -> Response {
    response.headers_mut().extend(headers(page));
    *response.body_mut() = Body::from(page.html(&id.to_string()));
    response.headers_mut().remove(header::CONTENT_LENGTH);
    response
}

#[cfg(test)]
mod tests {
    use axum::{Router, middleware::from_fn, routing::get};
    use http::StatusCode;
    use http_body_util::BodyExt as _;
    use lockstep_shared::http::layers::{Observation, observe};
    use tower::ServiceExt as _;

    use super::*;

    async fn ask(page: Page) -> (http::response::Parts, String) {
        let router = Router::new().route("/", get(async move || page)).layer(from_fn(render));
        let request = Request::get("/").body(Body::empty()).unwrap();
        let (parts, body) = observe(router, Observation::default()).oneshot(request).await.unwrap().into_parts();
        (parts, String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_page_is_written_with_its_status_its_headers_and_the_requests_id() {
        let retry_after = std::time::Duration::from_secs(7);

        let (parts, body) = ask(Page::Problem(Problem::Unavailable { retry_after })).await;

        assert_eq!(parts.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(
            (&parts.headers["retry-after"], &parts.headers["content-type"]),
            (&"7".parse().unwrap(), &"text/html; charset=utf-8".parse().unwrap())
        );
        assert!(parts.headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
        assert!(body.contains(parts.headers["x-request-id"].to_str().unwrap()), "{body}");
    }
}
