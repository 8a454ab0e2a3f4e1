from arbiscale.config.sampling import SamplingSettings

OWN = SamplingSettings(sampler="ddim", steps=7, spacing="leading", eta=0.5)


def test_a_chain_may_be_asked_for_with_other_steps_or_another_sampler() -> None:
    assert OWN.but() == OWN
    assert OWN.but(steps=3) == SamplingSettings(sampler="ddim", steps=3, spacing="leading", eta=0.5)
    assert OWN.but(sampler="unipc") == SamplingSettings(sampler="unipc", steps=7, spacing="leading", eta=0.0)


def test_ddims_noise_stays_with_ddim() -> None:
    assert OWN.but(sampler="ddim") == OWN
    assert OWN.but(sampler="ddpm").but(sampler="ddim").eta == 0
