"""The review page: people look at the pictures that wait, without any other tool."""

from belisha.components.review.page.server import PageSettings, ReviewServer, serve_review

__all__ = ["PageSettings", "ReviewServer", "serve_review"]
