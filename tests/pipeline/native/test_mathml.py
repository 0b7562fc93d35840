"""Formulas: each once, as LaTeX between dollars."""

from __future__ import annotations

import pytest

from pipeline.extract.native.page import scan_page

TEX = "<annotation encoding='application/x-tex'>{}</annotation>"
KATEX = (
    '<p>so <span class="katex"><span class="katex-mathml"><math><semantics><mrow><mi>x</mi></mrow>'
    '<annotation encoding="application/x-tex">x &lt; 1</annotation></semantics></math></span>'
    '<span class="katex-html" aria-hidden="true"><span class="base">x&lt;1</span></span></span> holds'
)
MATHJAX2 = (
    '<p>so <span class="MathJax_Preview">x</span><span class="MathJax"><nobr aria-hidden="true"><span>x</span></nobr>'
    '<span class="MJX_Assistive_MathML"><math><mi>x</mi></math></span></span><script type="math/tex">x</script> holds'
)
MATHJAX3 = (
    '<p>so <mjx-container class="MathJax" jax="CHTML"><mjx-math class="MJX-TEX" ><mjx-mi>'
    "<mjx-c>x</mjx-c></mjx-mi></mjx-math><mjx-assistive-mml><math><mi>x</mi></math></mjx-assistive-mml>"
    "</mjx-container> holds"
)
WIKIPEDIA = (
    '<p>so <span class="mwe-math-element"><span class="mwe-math-mathml-inline" style="display: none"><math>'
    '<semantics><mi>x</mi><annotation encoding="application/x-tex">{x}</annotation></semantics></math></span>'
    '<img src="x.svg" class="mwe-math-fallback-image-inline" aria-hidden="true" alt="{x}"></span> holds'
)


def text(source: str) -> str:
    page = scan_page(source.encode())
    return "\n".join(page.block_text(k) for k in range(len(page.blocks)))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("<math><mi>x</mi><mo>=</mo><mn>2</mn></math>", "$x=2$"),
        ("<math><msup><mi>x</mi><mn>2</mn></msup></math>", "$x^{2}$"),
        ("<math><msub><mi>x</mi><mi>i</mi></msub></math>", "$x_{i}$"),
        ("<math><msubsup><mi>x</mi><mi>i</mi><mn>2</mn></msubsup></math>", "$x_{i}^{2}$"),
        ("<math><mfrac><mi>a</mi><mi>b</mi></mfrac></math>", "$\\frac{a}{b}$"),
        ("<math><msqrt><mi>a</mi><mo>+</mo><mi>b</mi></msqrt></math>", "$\\sqrt{a+b}$"),
        ("<MATH><MFRAC><MI>a</MI><MI>b</MI></MFRAC></MATH>", "$\\frac{a}{b}$"),
        ("<m:math><m:msup><m:mi>x</m:mi><m:mn>2</m:mn></m:msup></m:math>", "$x^{2}$"),
        ("<math><mi>a</mi><mo>&InvisibleTimes;</mo><mi>\u03b2</mi></math>", "$a\u03b2$"),
        (f"<math><mi>x</mi>{TEX.format('x_1 &amp; y')}</math>", "$x_1 & y$"),
        ("<math alttext='\\alpha'><mi>a</mi></math>", "$\\alpha$"),
        ("<math></math>", ""),
        ("<math><mi>never closed", "never closed"),
        ('<script type="math/tex">x^2</script>', "$x^2$"),
        ('<script type="math/tex; mode=display">x^2</script>', "$$x^2$$"),
        ("<img class='wp latex' alt='x^2'>", "$x^2$"),
        ("<img class=tex alt='$x$'>", "$x$"),
        ("<img class='img-text context' alt='no formula'>", ""),
        ("a<br><math><mi>x</mi></math>", "a\n$x$"),
        ("a <math><mi>x</mi></math>, b", "a $x$, b"),
        ("<script type='math/tex'>a</script><script type='math/tex'>b</script>", "$a$$b$"),
        (KATEX, "so $x < 1$ holds"),
        (MATHJAX2, "so $x$ holds"),
        (MATHJAX3, "so $x$ holds"),
        (WIKIPEDIA, "so ${x}$ holds"),
        ("<div class='mathjax-content'><p>text with $x$</p></div>", "text with $x$"),
    ],
)
def test_formulas(source: str, expected: str) -> None:
    assert text(source) == expected
