"""Famous passages that pages quote and benchmarks ask about: public-domain texts, licences and oaths, each with source.

A page that quotes one of them has not seen a benchmark item that quotes it too.
"""

from __future__ import annotations

import re
from pathlib import Path

from pipeline.errors import ConfigError

QUOTATIONS: dict[str, str] = {
    "Lincoln, Gettysburg Address, 1863": "Four score and seven years ago our fathers brought forth on this continent, "
    "a new nation, conceived in Liberty, and dedicated to the proposition that all men are created equal. Now we are "
    "engaged in a great civil war, testing whether that nation, or any nation so conceived and so dedicated, can long "
    "endure. We are met on a great battle-field of that war.",
    "Lincoln, second inaugural address, 1865": "With malice toward none, with charity for all, with firmness in the "
    "right as God gives us to see the right, let us strive on to finish the work we are in, to bind up the nation's "
    "wounds, to care for him who shall have borne the battle and for his widow and his orphan.",
    "Declaration of Independence, 1776": "We hold these truths to be self-evident, that all men are created equal, "
    "that they are endowed by their Creator with certain unalienable Rights, that among these are Life, Liberty and "
    "the pursuit of Happiness. That to secure these rights, Governments are instituted among Men, deriving their just "
    "powers from the consent of the governed.",
    "Constitution of the United States, preamble, 1787": "We the People of the United States, in Order to form a more "
    "perfect Union, establish Justice, insure domestic Tranquility, provide for the common defence, promote the "
    "general Welfare, and secure the Blessings of Liberty to ourselves and our Posterity, do ordain and establish "
    "this Constitution for the United States of America.",
    "First Amendment, 1791": "Congress shall make no law respecting an establishment of religion, or prohibiting the "
    "free exercise thereof; or abridging the freedom of speech, or of the press; or the right of the people peaceably "
    "to assemble, and to petition the Government for a redress of grievances.",
    "Fourteenth Amendment, section 1, 1868": "All persons born or naturalized in the United States, and subject to the "
    "jurisdiction thereof, are citizens of the United States and of the State wherein they reside. No State shall "
    "make or enforce any law which shall abridge the privileges or immunities of citizens of the United States.",
    "Pledge of Allegiance, 4 U.S.C. 4": "I pledge allegiance to the Flag of the United States of America, and to the "
    "Republic for which it stands, one Nation under God, indivisible, with liberty and justice for all.",
    "Oath of the President, Constitution, article II": "I do solemnly swear that I will faithfully execute the Office "
    "of President of the United States, and will to the best of my Ability, preserve, protect and defend the "
    "Constitution of the United States.",
    "Hippocratic oath, translated by Francis Adams, 1849": "I swear by Apollo the physician, and Aesculapius, and "
    "Health, and All-heal, and all the gods and goddesses, that, according to my ability and judgment, I will keep "
    "this Oath and this stipulation.",
    "Miranda warning, after Miranda v. Arizona, 1966": "You have the right to remain silent. Anything you say can and "
    "will be used against you in a court of law. You have the right to an attorney. If you cannot afford an attorney, "
    "one will be provided for you.",
    "Book of Common Prayer, solemnization of matrimony, 1662": "to have and to hold from this day forward, for better "
    "for worse, for richer for poorer, in sickness and in health, to love and to cherish, till death us do part, "
    "according to God's holy ordinance.",
    "Genesis 1, King James Version": "In the beginning God created the heaven and the earth. And the earth was without "
    "form, and void; and darkness was upon the face of the deep. And the Spirit of God moved upon the face of the "
    "waters. And God said, Let there be light: and there was light.",
    "Psalm 23, King James Version": "The LORD is my shepherd; I shall not want. He maketh me to lie down in green "
    "pastures: he leadeth me beside the still waters. He restoreth my soul: he leadeth me in the paths of "
    "righteousness for his name's sake. Yea, though I walk through the valley of the shadow of death, I will fear no "
    "evil: for thou art with me; thy rod and thy staff they comfort me.",
    "Matthew 6, King James Version": "Our Father which art in heaven, Hallowed be thy name. Thy kingdom come. Thy will "
    "be done in earth, as it is in heaven. Give us this day our daily bread. And forgive us our debts, as we forgive "
    "our debtors. And lead us not into temptation, but deliver us from evil.",
    "Ecclesiastes 3, King James Version": "To every thing there is a season, and a time to every purpose under the "
    "heaven: A time to be born, and a time to die; a time to plant, and a time to pluck up that which is planted.",
    "Shakespeare, Hamlet": "To be, or not to be: that is the question: Whether 'tis nobler in the mind to suffer The "
    "slings and arrows of outrageous fortune, Or to take arms against a sea of troubles, And by opposing end them? To "
    "die: to sleep; No more; and by a sleep to say we end The heart-ache and the thousand natural shocks That flesh "
    "is heir to.",
    "Shakespeare, Sonnet 18": "Shall I compare thee to a summer's day? Thou art more lovely and more temperate: Rough "
    "winds do shake the darling buds of May, And summer's lease hath all too short a date.",
    "Shakespeare, As You Like It": "All the world's a stage, And all the men and women merely players: They have their "
    "exits and their entrances; And one man in his time plays many parts, His acts being seven ages.",
    "Shakespeare, Macbeth": "To-morrow, and to-morrow, and to-morrow, Creeps in this petty pace from day to day To the "
    "last syllable of recorded time, And all our yesterdays have lighted fools The way to dusty death. Out, out, "
    "brief candle! Life's but a walking shadow, a poor player That struts and frets his hour upon the stage.",
    "Austen, Pride and Prejudice, 1813": "It is a truth universally acknowledged, that a single man in possession of a "
    "good fortune, must be in want of a wife. However little known the feelings or views of such a man may be on his "
    "first entering a neighbourhood, this truth is so well fixed in the minds of the surrounding families.",
    "Dickens, A Tale of Two Cities, 1859": "It was the best of times, it was the worst of times, it was the age of "
    "wisdom, it was the age of foolishness, it was the epoch of belief, it was the epoch of incredulity, it was the "
    "season of Light, it was the season of Darkness, it was the spring of hope, it was the winter of despair.",
    "Melville, Moby-Dick, 1851": "Call me Ishmael. Some years ago, never mind how long precisely, having little or no "
    "money in my purse, and nothing particular to interest me on shore, I thought I would sail about a little and see "
    "the watery part of the world.",
    "Carroll, Alice's Adventures in Wonderland, 1865": "Alice was beginning to get very tired of sitting by her sister "
    "on the bank, and of having nothing to do: once or twice she had peeped into the book her sister was reading, but "
    "it had no pictures or conversations in it.",
    "Doyle, A Scandal in Bohemia, 1891": "To Sherlock Holmes she is always the woman. I have seldom heard him mention "
    "her under any other name. In his eyes she eclipses and predominates the whole of her sex.",
    "Poe, The Raven, 1845": "Once upon a midnight dreary, while I pondered, weak and weary, Over many a quaint and "
    "curious volume of forgotten lore, While I nodded, nearly napping, suddenly there came a tapping, As of some one "
    "gently rapping, rapping at my chamber door.",
    "Shelley, Ozymandias, 1818": "I met a traveller from an antique land, Who said: Two vast and trunkless legs of "
    "stone Stand in the desert. Near them, on the sand, Half sunk, a shattered visage lies.",
    "Frost, The Road Not Taken, 1916": "Two roads diverged in a yellow wood, And sorry I could not travel both And be "
    "one traveler, long I stood And looked down one as far as I could To where it bent in the undergrowth.",
    "Lazarus, The New Colossus, 1883": "Give me your tired, your poor, Your huddled masses yearning to breathe free, "
    "The wretched refuse of your teeming shore. Send these, the homeless, tempest-tost to me, I lift my lamp beside "
    "the golden door!",
    "Key, The Star-Spangled Banner, 1814": "O say can you see, by the dawn's early light, What so proudly we hailed at "
    "the twilight's last gleaming, Whose broad stripes and bright stars through the perilous fight, O'er the ramparts "
    "we watched, were so gallantly streaming?",
    "McCrae, In Flanders Fields, 1915": "In Flanders fields the poppies blow Between the crosses, row on row, That "
    "mark our place; and in the sky The larks, still bravely singing, fly Scarce heard amid the guns below.",
    "Darwin, On the Origin of Species, 1859": "There is grandeur in this view of life, with its several powers, having "
    "been originally breathed into a few forms or into one; and that, whilst this planet has gone cycling on according "
    "to the fixed law of gravity, from so simple a beginning endless forms most beautiful and most wonderful have "
    "been, and are being, evolved.",
    "Smith, The Wealth of Nations, 1776": "It is not from the benevolence of the butcher, the brewer, or the baker, "
    "that we expect our dinner, but from their regard to their own interest. We address ourselves, not to their "
    "humanity but to their self-love, and never talk to them of our own necessities but of their advantages.",
    "Hobbes, Leviathan, 1651": "No arts; no letters; no society; and which is worst of all, continual fear, and danger "
    "of violent death; and the life of man, solitary, poor, nasty, brutish, and short.",
    "Marx and Engels, Manifesto of the Communist Party, translated by Moore, 1888": "A spectre is haunting Europe, the "
    "spectre of Communism. All the Powers of old Europe have entered into a holy alliance to exorcise this spectre. "
    "The history of all hitherto existing society is the history of class struggles.",
    "Newton, Principia, translated by Motte, 1729": "Every body perseveres in its state of rest, or of uniform motion "
    "in a right line, unless it is compelled to change that state by forces impressed thereon. To every action there "
    "is always opposed an equal reaction.",
    "Euclid, Elements, translated by Heath, 1908": "Things which are equal to the same thing are also equal to one "
    "another. If equals be added to equals, the wholes are equal. If equals be subtracted from equals, the remainders "
    "are equal. The whole is greater than the part.",
    "Roosevelt, first inaugural address, 1933": "So, first of all, let me assert my firm belief that the only thing we "
    "have to fear is fear itself, nameless, unreasoning, unjustified terror which paralyzes needed efforts to convert "
    "retreat into advance.",
    "Kennedy, inaugural address, 1961": "And so, my fellow Americans: ask not what your country can do for you, ask "
    "what you can do for your country. My fellow citizens of the world: ask not what America will do for you, but "
    "what together we can do for the freedom of man.",
    "Universal Declaration of Human Rights, article 1, 1948": "All human beings are born free and equal in dignity and "
    "rights. They are endowed with reason and conscience and should act towards one another in a spirit of "
    "brotherhood.",
    "MIT licence (SPDX: MIT)": "Permission is hereby granted, free of charge, to any person obtaining a copy of this "
    "software and associated documentation files (the \"Software\"), to deal in the Software without restriction, "
    "including without limitation the rights to use, copy, modify, merge, publish, distribute, sublicense, and/or "
    "sell copies of the Software.",
    "BSD licence, disclaimer (SPDX: BSD-2-Clause)": "THIS SOFTWARE IS PROVIDED BY THE COPYRIGHT HOLDERS AND "
    "CONTRIBUTORS \"AS IS\" AND ANY EXPRESS OR IMPLIED WARRANTIES, INCLUDING, BUT NOT LIMITED TO, THE IMPLIED "
    "WARRANTIES OF MERCHANTABILITY AND FITNESS FOR A PARTICULAR PURPOSE ARE DISCLAIMED.",
    "Apache licence (SPDX: Apache-2.0)": "Licensed under the Apache License, Version 2.0 (the \"License\"); you "
    "may not use this file except in compliance with the License. You may obtain a copy of the License at "
    "http://www.apache.org/licenses/LICENSE-2.0. Unless required by applicable law or agreed to in writing, software "
    "distributed under the License is distributed on an \"AS IS\" BASIS.",
    "GNU licence, notice (SPDX: GPL-3.0-or-later)": "This program is free software: you can redistribute it and/or "
    "modify it under the terms of the GNU General Public License as published by the Free Software Foundation, either "
    "version 3 of the License, or (at your option) any later version.",
    "Placeholder after Cicero, De finibus": "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod "
    "tempor incididunt ut labore et dolore magna aliqua. Ut enim ad minim veniam, quis nostrud exercitation ullamco "
    "laboris nisi ut aliquip ex ea commodo consequat.",
    "Proverbs, I": "A stitch in time saves nine. The early bird catches the worm. You can lead a horse to water, but "
    "you can't make it drink. Don't count your chickens before they hatch. A bird in the hand is worth two in the "
    "bush. When in Rome, do as the Romans do.",
    "Proverbs, II": "Absence makes the heart grow fonder. People who live in glass houses shouldn't throw stones. The "
    "pen is mightier than the sword. An apple a day keeps the doctor away. Where there's a will, there's a way. What "
    "goes around comes around. All that glitters is not gold.",
}  # fmt: skip
"""Passages by their source."""


def quotations_from(path: Path, *, least: int = 40, most: int = 120) -> list[str]:
    """Passages of `least` to `most` words from a text file of the public domain, whole paragraphs (parted by blank
    lines) joined in order. Raises ConfigError where the file yields none."""
    passages: list[str] = []
    held: list[str] = []
    size = 0
    for paragraph in re.split(r"\n\s*\n", path.read_text(encoding="utf-8")):
        count = len(paragraph.split())
        if size + count > most:
            held, size = [], 0
        if count > most:
            continue
        held.append(paragraph.strip())
        size += count
        if size >= least:
            passages.append("\n".join(held))
            held, size = [], 0
    if not passages:
        raise ConfigError(f"scorecard: {path} holds no passage of {least} to {most} words; name a plain text file")
    return passages
