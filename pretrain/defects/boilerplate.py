"""Boilerplate pages: menus, notices and link lists, and no sentence of their own."""

from __future__ import annotations

import numpy as np

SECTIONS = (
    "Home", "About us", "Contact", "Products", "Services", "News", "Blog", "Events", "Gallery", "Careers", "Support",
    "Downloads", "Press", "Partners", "Shop", "My account", "Cart", "Wish list", "Sitemap", "FAQ", "Forum", "Members",
    "Weather", "Sport", "Business", "Travel", "Fashion", "Health", "Cars", "Property", "Video", "Archive", "Tags",
)  # fmt: skip
NOTICES = (
    "We use cookies to improve your experience. Accept all cookies | Manage settings",
    "Sign up for our newsletter",
    "Enter your e-mail address",
    "Follow us on social media",
    "Share this page",
    "Please enable JavaScript to view this page",
    "Terms of use | Privacy policy | Cookie policy | Imprint",
    "Log in | Register | Forgot your password?",
    "Skip to main content",
    "Add to cart",
    "Back to top",
)
PLACES = ("Springfield", "Riverton", "Lakeside", "Hillcrest", "Maplewood", "Fairview", "Georgetown", "Ashland")
THINGS = ("Motors", "Dental", "Books", "Garden Centre", "Travel", "Bakery", "Tools", "Fitness", "Records", "Pets")


def boilerplate_page(seed: int) -> str:
    """A page of 60 to 140 short lines of one made-up site: menus, notices, counters, dates and links."""
    rng = np.random.default_rng(seed)

    def one(options: tuple[str, ...]) -> str:
        return options[int(rng.integers(len(options)))]

    site = f"{one(PLACES)} {one(THINGS)}"
    lines = [site]
    for _ in range(int(rng.integers(60, 141))):
        kind = int(rng.integers(6))
        if kind == 0:
            lines.append(" | ".join(one(SECTIONS) for _ in range(int(rng.integers(3, 8)))))
        elif kind == 1:
            lines.append(one(NOTICES))
        elif kind == 2:
            lines.append(f"{one(SECTIONS)} ({int(rng.integers(1000))})")
        elif kind == 3:
            lines.append(f"{int(rng.integers(1, 29))}/{int(rng.integers(1, 13))}/{int(rng.integers(2001, 2026))}")
        elif kind == 4:
            lines.append(f"Read more » {one(SECTIONS)}")
        else:
            lines.append(f"© {int(rng.integers(2001, 2026))} {site}. All rights reserved")
    return "\n".join(lines)
