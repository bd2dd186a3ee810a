"""Translation of scripts: translators behind one interface, and the lines that go to them and come back."""
